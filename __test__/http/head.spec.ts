// What the caller has said in the head, and what of it cannot be sent as it is.

import test from 'ava'
import type { ServerResponse } from 'node:http'
import { respondWithFile } from 'zcio/http'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import { serve, serveFile } from '../helpers/http-server.js'

/** One size for each way a body goes: read and sent with the head, one call on this thread, the engine. */
const ways = { small: 4097, 'one-call': 65_535, large: 3 * 1024 * 1024 + 1 }

test('a header that is not ASCII is sent as Node sends it', async (t) => {
  const file = makeFile(10)
  const server = await serveFile(t, file.path, { prepare: (res) => res.setHeader('X-Test', 'ä') })
  const client = await server.connect()
  const answer = await client.get()
  t.is(answer.headers['x-test'], 'ä')
  t.is(answer.hash, sha256(file.bytes))
})

test('a head of more than 16 KiB goes with any body, through Node', async (t) => {
  for (const size of Object.values(ways)) {
    const file = makeFile(size)
    const server = await serveFile(t, file.path, {
      prepare: (res) => res.setHeader('X-Long', 'x'.repeat(17_000)),
    })
    const client = await server.connect()
    for (let i = 0; i < 2; i++) {
      const answer = await client.get()
      t.is(answer.headers['x-long']?.length, 17_000)
      t.is(answer.hash, sha256(file.bytes))
    }
    t.deepEqual((await server.outcome()).value?.fallbacks, [{ mechanism: 'sendfile', code: 'LONG_HEAD' }])
  }
})

test('a head of just less than 16 KiB leaves by the kernel', async (t) => {
  const file = makeFile(16_384, 'small', memory())
  for (const length of [16_100, 16_200]) {
    const server = await serveFile(t, file.path, {
      prepare: (res) => res.setHeader('X-Long', 'x'.repeat(length)),
    })
    const client = await server.connect()
    const answer = await client.get()
    t.is(answer.headers['x-long']?.length, length)
    t.is(answer.hash, sha256(file.bytes))
    t.is((await server.outcome()).value?.mechanism, 'read_write')
  }
})

for (const [way, size] of Object.entries(ways)) {
  const file = makeFile(size)
  const wrong: [how: string, prepare: (res: ServerResponse) => void][] = [
    ['set', (res) => res.setHeader('Content-Length', size + 1)],
    ['set as text', (res) => res.setHeader('content-length', `${size - 1}`)],
    ['written', (res) => res.writeHead(200, { 'Content-Length': size - 1 })],
  ]
  for (const [how, prepare] of wrong) {
    test(`a Content-Length that was ${how} wrong for a ${way} file is told before anything is sent`, async (t) => {
      const server = await serve(t, async (res) => {
        prepare(res)
        try {
          return await respondWithFile(res, file.path)
        } catch (error) {
          if (!res.headersSent) res.setHeader('Content-Length', 3)
          res.destroy()
          throw error
        }
      })
      const client = await server.connect()
      client.request()
      t.is(await client.drain(), 0)
      const { error } = await server.outcome()
      t.is(error?.code, 'ERR_HTTP_CONTENT_LENGTH_MISMATCH')
      t.regex(error?.message ?? '', new RegExp(String(size)))
    })
  }
}
