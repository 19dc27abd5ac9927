// A found file over each protocol, behind middleware that wraps the response, and under hooks that send files themselves.

import test from 'ava'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer, type IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import serveStaticOriginal from 'serve-static'
import { respondWithFile, serveStatic, type FileStat } from 'zcio/http'
import { sha256 } from '../../helpers/files.js'
import { application, ask, makeRoot } from '../../helpers/static-server.js'
import { until } from '../../helpers/wait.js'

const root = makeRoot()
const names = ['empty.txt', 'file.txt', 'large.bin', 'huge.bin']
const bytesOf = (name: string): Buffer => readFileSync(join(root, name))

const tls = {
  key: readFileSync(new URL('../../fixtures/tls-key.pem', import.meta.url)),
  cert: readFileSync(new URL('../../fixtures/tls-certificate.pem', import.meta.url)),
}

test('over TLS files, ranges and conditions are answered as without', async (t) => {
  const server = https.createServer(tls, serveStatic(root)).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const get = async (path: string, headers = {}): Promise<{ res: IncomingMessage; body: Buffer }> => {
    const req = https.get({ port, path, headers, rejectUnauthorized: false })
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    return { res, body: await buffer(res) }
  }
  for (const name of names) {
    const { res, body } = await get(`/${name}`)
    t.is(res.statusCode, 200)
    t.is(res.headers['content-length'], String(body.length))
    t.true(body.equals(bytesOf(name)))
    t.is((await get(`/${name}`, { 'if-none-match': res.headers.etag })).res.statusCode, 304)
  }
  for (const name of names.slice(1)) {
    const { res, body } = await get(`/${name}`, { range: 'bytes=5-99' })
    t.is(res.statusCode, 206)
    t.true(body.equals(bytesOf(name).subarray(5, 100)))
  }
  t.is((await get('/dir')).res.statusCode, 301)
  t.is((await get('/missing')).res.statusCode, 404)
})

test('over HTTP/2 files, ranges and conditions are answered as over HTTP/1', async (t) => {
  const server = http2.createServer(serveStatic(root)).listen(0)
  await once(server, 'listening')
  const session = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`)
  t.teardown(() => {
    session.destroy()
    server.close()
  })
  const get = async (
    path: string,
    more = {},
  ): Promise<{ headers: http2.IncomingHttpHeaders; body: Buffer }> => {
    const stream = session.request({ ':path': path, ...more })
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    return { headers, body: await buffer(stream) }
  }
  for (const name of names) {
    const { headers, body } = await get(`/${name}`)
    t.is(Number(headers[':status']), 200)
    t.is(headers['content-length'], String(body.length))
    t.true(body.equals(bytesOf(name)))
    const head = await get(`/${name}`, { ':method': 'HEAD' })
    t.is(head.headers['content-length'], String(bytesOf(name).length))
    t.is(head.body.length, 0)
    const again = await get(`/${name}`, { 'if-none-match': headers.etag })
    t.is(Number(again.headers[':status']), 304)
  }
  const part = await get('/huge.bin', { range: 'bytes=-10' })
  t.is(Number(part.headers[':status']), 206)
  t.true(part.body.equals(bytesOf('huge.bin').subarray(-10)))
  t.is((await get('/dir')).headers.location, '/dir/')
  t.is(Number((await get('/missing')).headers[':status']), 404)
  t.is((await get('/file.txt', { range: 'bytes=99999-' })).headers['content-range'], 'bytes */4097')
})

test('setHeaders gets the path and the times of the file', async (t) => {
  const calls: [path: string, stat: FileStat][] = []
  const handler = serveStatic(root, { setHeaders: (_, path, stat) => calls.push([path, stat]) })
  const get = await ask(t, application(handler))
  await get('/')
  const [[path, stat] = ['', { size: -1, mtime: new Date(), mtimeMs: 0 }]] = calls
  const { size, mtime, mtimeMs } = statSync(join(root, 'index.html'))
  t.is(path, join(root, 'index.html'))
  t.deepEqual(stat, { size, mtime, mtimeMs })
})

test('a hook that sends another file meanwhile spoils neither', async (t) => {
  let other: ServerResponse | undefined
  const handler = serveStatic(root, {
    setHeaders: () => {
      if (other !== undefined) void respondWithFile(other, join(root, 'page.html'))
      other = undefined
    },
  })
  const server = createServer((req, res) => {
    if (req.url === '/other') other = res
    else handler(req, res)
  }).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const name of names) {
    const waiting = fetch(`${url}/other`)
    await until('the other request', () => other !== undefined)
    const answer = await fetch(`${url}/${name}`)
    t.is(sha256(Buffer.from(await answer.arrayBuffer())), sha256(bytesOf(name)))
    t.true(Buffer.from(await (await waiting).arrayBuffer()).equals(bytesOf('page.html')))
  }
})

test('whoever keeps a log of responses finds the same headers as with serve-static', async (t) => {
  const ends = [serveStatic(root), serveStaticOriginal(root)].map(async (handler) => {
    const seen: unknown[] = []
    const logging = application(handler, (_, res, next) => {
      res.once('finish', () => seen.push(res.statusCode, { ...res.getHeaders() }))
      next()
    })
    const get = await ask(t, logging)
    for (const name of names) {
      const { headers } = await get(`/${name}`)
      await get(`/${name}`, 'GET', `If-None-Match: ${String(headers.etag)}`)
    }
    await until('the last response', () => seen.length === 4 * names.length)
    return seen
  })
  const [ours, theirs] = await Promise.all(ends)
  t.deepEqual(ours, theirs)
})

test('a middleware that wraps writeHead, write and end sees all of the response', async (t) => {
  const handler = serveStatic(root)
  const seen: unknown[] = []
  const get = await ask(
    t,
    application(handler, (_, res, next) => {
      const writeHead = res.writeHead.bind(res)
      res.writeHead = function (this: ServerResponse, ...args: Parameters<typeof writeHead>) {
        seen.push(this.getHeader('ETag'), this.getHeader('Content-Length'))
        this.setHeader('X-Late', 'yes')
        return writeHead(...args)
      } as typeof writeHead
      next()
    }),
  )
  for (const name of names) {
    const answer = await get(`/${name}`)
    t.is(answer.headers['x-late'], 'yes')
    t.is(answer.hash, sha256(bytesOf(name)))
    t.deepEqual(seen.splice(0), [answer.headers.etag, answer.bytes])
  }
})
