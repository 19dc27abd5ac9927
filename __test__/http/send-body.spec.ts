// When a response's turn comes, and what it then sends, whichever door the file came through.

import test from 'ava'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { configure } from 'zcio'
import { respondWithFile, serveStatic } from 'zcio/http'
import { isReady } from '#src/http/send-body.js'
import { HttpClient } from '../helpers/http-client.js'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import { fillSendBuffer, serve } from '../helpers/http-server.js'
import { makeRoot } from '../helpers/static-server.js'
import { until } from '../helpers/wait.js'

/** More than a socket and its peer keep that reads nothing. */
const MUCH = 12_000_000

const root = makeRoot()
const paths = ['/file.txt', '/huge.bin', '/missing', '/dir', '/large.bin', '/', '/empty.txt', '/file.txt']

test('pipelined requests for files, errors and redirects are answered in their order', async (t) => {
  const server = createServer(serveStatic(root)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const one = await HttpClient.connect({ port, host: '127.0.0.1' })
  const expected = []
  for (const path of paths) expected.push(await one.get(path))
  one.destroy()
  const all = await HttpClient.connect({ port, host: '127.0.0.1' })
  for (let i = 0; i < 3; i++) {
    for (const path of paths) all.request(path)
    for (const { status, hash, headers } of expected) {
      const answer = await all.answer()
      t.is(answer.status, status)
      t.is(answer.headers['content-length'], headers['content-length'])
      t.is(answer.hash, hash)
    }
  }
  all.destroy()
})

/** Each with as much more head, and what goes on this thread at most: read with the head, or sent after it. */
const bodies = [
  { size: 100, pad: 15_000, inlineMax: 65_536 },
  { size: 20_000, pad: 0, inlineMax: 65_536 },
  { size: 40_000, pad: 15_000, inlineMax: 65_536 },
  { size: 60_000, pad: 0, inlineMax: 65_536 },
  { size: 1_000_001, pad: 0, inlineMax: 2 ** 20 },
]

for (const { size, pad, inlineMax } of bodies) {
  for (const unix of [false, true]) {
    const title = `${size} bytes that do not fit the ${unix ? 'unix' : 'TCP'} socket go on where it stopped`
    test.serial(title, async (t) => {
      configure({ inlineMax })
      t.teardown(() => {
        configure({ inlineMax: 65_536 })
      })
      const file = makeFile(size, 'body', memory())
      const server = await serve(
        t,
        (res) => {
          res.setHeader('X-Pad', 'x'.repeat(pad))
          return respondWithFile(res, file.path)
        },
        { unix },
      )
      const client = await server.connect()
      const requests = Math.ceil(MUCH / (size + pad))
      // Nothing is read before the socket is full, which it is at another byte for each way the buffers were.
      for (let i = 0; i < requests; i++) client.request()
      await sleep(200)
      for (let i = 0; i < requests; i++) {
        const { complete, hash } = await client.answer()
        t.deepEqual({ complete, hash }, { complete: true, hash: sha256(file.bytes) }, `answer ${i}`)
      }
    })
  }
}

test('a response is ready when it has its socket, and nothing is queued there', async (t) => {
  const responses: ServerResponse[] = []
  const server = createServer((_, res) => responses.push(res)).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = await HttpClient.connect({ port, host: '127.0.0.1' })
  client.request(join('/', 'first'))
  client.request(join('/', 'second'))
  await until('both requests', () => responses.length === 2)
  const [first, second] = responses as [ServerResponse, ServerResponse]
  t.deepEqual([isReady(first), isReady(second)], [true, false], 'the second has to wait for its turn')
  if (first.socket === null) throw new Error('it has its socket')
  fillSendBuffer(first.socket)
  first.socket.write('queued')
  t.false(isReady(first))
  first.socket.destroy()
  t.false(isReady(first))
  client.destroy()
})
