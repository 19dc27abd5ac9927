// The adapters in examples/, each in the framework that it is for.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import fastify from 'fastify'
import { createApp as createExpress } from '../examples/adapters/express.js'
import { sendFiles } from '../examples/adapters/fastify.js'
import { createApp as createKoa } from '../examples/adapters/koa.js'
import { serveDirectory } from '../examples/adapters/serve-handler.js'
import { makeRoot } from './helpers/static-server.js'

const root = makeRoot()
const names = ['file.txt', 'large.bin', 'huge.bin']

async function listen(t: ExecutionContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function checkFiles(t: ExecutionContext, url: string): Promise<void> {
  for (const name of names) {
    const bytes = readFileSync(join(root, name))
    const whole = await fetch(`${url}/${name}`)
    t.is(whole.status, 200)
    t.true(Buffer.from(await whole.arrayBuffer()).equals(bytes))
    const part = await fetch(`${url}/${name}`, { headers: { range: 'bytes=10-3000' } })
    t.is(part.status, 206)
    t.true(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(10, 3001)))
  }
}

test('Express serves files where they are mounted, and goes on where there is none', async (t) => {
  const url = await listen(t, createExpress(root) as RequestListener)
  await checkFiles(t, `${url}/static`)
  t.is((await fetch(`${url}/static/dir`)).url, `${url}/static/dir/`)
  t.is((await fetch(`${url}/static`)).url, `${url}/static/`)
  t.is((await fetch(`${url}/static/missing`)).status, 404)
})

test('Koa serves files, and goes on where there is none', async (t) => {
  const listener = createKoa(root).callback()
  const url = await listen(t, (req, res) => void listener(req, res))
  await checkFiles(t, url)
  const missing = await fetch(`${url}/missing`)
  t.is(await missing.text(), 'not a file')
})

test('Fastify sends files with the headers of the reply', async (t) => {
  const app = fastify()
  await app.register(sendFiles, { root })
  app.get('/*', (request, reply) => {
    return reply.header('x-reply', 'yes').sendFile((request.params as { '*': string })['*'])
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  await checkFiles(t, url)
  t.is((await fetch(`${url}/file.txt`)).headers.get('x-reply'), 'yes')
  t.is((await fetch(`${url}/missing`)).status, 404)
})

test('serve-handler gets its files from the kernel', async (t) => {
  const url = await listen(t, (req, res) => void serveDirectory(req, res, { public: root }))
  await checkFiles(t, url)
  t.is((await fetch(`${url}/missing`)).status, 404)
})
