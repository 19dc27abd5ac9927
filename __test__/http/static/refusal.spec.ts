// What a client sees where there is no application behind the server.

import test from 'ava'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { serveStatic } from 'zcio/http'
import { makeRoot } from '../../helpers/static-server.js'

const root = makeRoot()

test('without anybody behind it an error is a small page of its own', async (t) => {
  const handler = serveStatic(root)
  const server = createServer((req, res) => {
    res.setHeader('X-Before', 'of the file that there is not')
    handler(req, res)
  }).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const [path, status, text, headers] of [
    ['/missing', 404, 'Not Found', {}],
    ['/%', 400, 'Bad Request', {}],
    ['/loop.txt', 500, 'Internal Server Error', {}],
    ['/file.txt', 412, 'Precondition Failed', { 'if-match': '"x"' }],
    ['/file.txt', 416, 'Range Not Satisfiable', { range: 'bytes=99999-' }],
  ] as const) {
    const answer = await fetch(url + path, { headers })
    t.is(answer.status, status)
    const page = await answer.text()
    t.true(page.includes(`<pre>${text}</pre>`), page)
    t.is(answer.headers.get('content-length'), String(page.length))
    t.is(answer.headers.get('content-security-policy'), "default-src 'none'")
    t.is(answer.headers.get('x-content-type-options'), 'nosniff')
    t.is(answer.headers.get('x-before'), null)
    t.is(answer.headers.get('content-range'), status === 416 ? 'bytes */4097' : null)
  }
  const post = await fetch(`${url}/file.txt`, { method: 'POST' })
  t.is(post.status, 405)
  t.is(post.headers.get('allow'), 'GET, HEAD')
})

test('a redirect says where to, and nothing that a browser could take for markup', async (t) => {
  const server = createServer(serveStatic(root)).listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const answer = await fetch(`${url}/dir?<script>"`, { redirect: 'manual' })
  t.is(answer.status, 301)
  t.is(answer.headers.get('location'), '/dir/?%3Cscript%3E%22')
  t.false((await answer.text()).includes('<script>'))
  const slashes = await fetch(`${url}//dir`, { redirect: 'manual' })
  t.is(slashes.headers.get('location'), '/dir/', 'never to another host')
})
