// Where errors go.

import test from 'ava'
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { serveStatic } from 'zcio/http'
import { application, ask, makeRoot, put } from '../../helpers/static-server.js'
import { pathFor } from '../../helpers/files.js'
import { until } from '../../helpers/wait.js'
import { run } from '../../helpers/children.js'
import type { HttpClient } from '../../helpers/http-client.js'
import { serve } from '../../helpers/http-server.js'

test('an error of the file system says what was asked for, and may not be shown', async (t) => {
  const root = makeRoot()
  const errors: (NodeJS.ErrnoException & { status?: number; expose?: boolean })[] = []
  const handler = serveStatic(root, { fallthrough: false })
  const get = await ask(t, (req, res) => {
    handler(req, res, (error) => {
      errors.push(error as Error)
      res.writeHead(404).end()
    })
  })
  await get('/missing')
  await get('/loop.txt')
  t.like(errors[0], { status: 404, code: 'ENOENT', path: join(root, 'missing'), expose: false })
  t.like(errors[1], { status: 500, code: 'ELOOP', path: join(root, 'loop.txt'), expose: false })
})

test('what setHeaders throws goes to whoever called, and the file is closed', async (t) => {
  const root = makeRoot()
  const handler = serveStatic(root, {
    setHeaders: () => {
      throw new Error('of the application')
    },
  })
  const get = await ask(
    t,
    application((req, res, next) => {
      try {
        handler(req, res, next)
      } catch (error) {
        res.writeHead(503).end((error as Error).message)
      }
    }),
  )
  for (const path of ['/file.txt', '/huge.bin']) t.is((await get(path)).status, 503)
})

test('what setHeaders throws later on is not swallowed', async (t) => {
  const { code, stderr } = await run(
    `import { createServer, get } from 'node:http'
     import { serveStatic } from 'zcio/http'
     const handler = serveStatic('src', { setHeaders: () => { throw new Error('of the application') } })
     const server = createServer(handler).listen(0, () => get({ port: server.address().port, path: '/errors.ts' }))`,
    { before: 'export ZCIO_OPENAT2=off' },
  )
  t.is(code, 1)
  t.regex(stderr, /of the application/)
})

test('a client that goes is no error, and one whose file is cut short is told so by the connection', async (t) => {
  const root = pathFor('cut')
  const path = put(root, 'huge.bin', Buffer.alloc(50_000_000))
  const errors: unknown[] = []
  const handler = serveStatic(root)
  const server = await serve(t, (res, req) => {
    handler(req, res, (error) => errors.push(error))
    return Promise.resolve({ bytes: 0, mechanism: 'stream', fallbacks: [] })
  })
  const impatient = await server.connect()
  impatient.request('/huge.bin')
  await impatient.take(1000)
  impatient.destroy()
  const client: HttpClient = await server.connect()
  client.request('/huge.bin')
  await client.head()
  truncateSync(path, 1_000_000)
  t.true((await client.drain()) < 50_000_000)
  await until('the error of the file', () => errors.length > 0)
  t.is(errors.length, 1)
  t.like(errors[0], { code: 'ERR_ZCIO_SOURCE_TRUNCATED', status: 500 })
})
