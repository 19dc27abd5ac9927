// A head promises a length; then the file changes. What the client gets is the promised length or a broken
// connection: never a hang, padding, or a next response that runs into the owed body.

import test, { type ExecutionContext } from 'ava'
import { appendFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { TransferResult } from 'zcio'
import { respondWithFile } from 'zcio/http'
import { makeFile, memory, pattern, sha256, type TestFile } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { fillSendBuffer, serve, serveFile, type TestServer } from '../helpers/http-server.js'
import { until } from '../helpers/wait.js'

const MiB = 1024 * 1024
const size = 8 * MiB

/** A client that has sent two requests for a file, has begun to read the first answer, and has stopped. */
async function midway(
  t: ExecutionContext,
  file: TestFile,
): Promise<{ server: TestServer; client: HttpClient }> {
  const server = await serveFile(t, file.path, { unix: true })
  const client = await server.connect()
  client.request()
  client.request()
  await client.head()
  t.true((await client.take(MiB)).equals(file.bytes.subarray(0, MiB)))
  return { server, client }
}

for (const [what, length] of [
  ['to nothing', 0],
  ['to less than was sent', 1000],
  ['to what is still to be sent', size / 2],
  ['by its last byte', size - 1],
] as const) {
  test(`a large file that is truncated ${what} destroys the connection`, async (t) => {
    // oven-sh/bun#34185, #41622: sendfile says 0 with bytes owed, and the next response became part of the body.
    const file = makeFile(size, 'large', memory())
    const { server, client } = await midway(t, file)
    truncateSync(file.path, length)
    const rest = await client.take(Infinity)
    t.true(rest.length + MiB < size)
    const { error } = await server.outcome()
    t.is(error?.code, 'ERR_ZCIO_SOURCE_TRUNCATED')
    t.is(error?.bytes, rest.length + MiB)
    if (length >= size / 2) {
      t.is(error?.bytes, length)
      t.true(rest.equals(file.bytes.subarray(MiB, length)))
    }
    t.regex(error?.message ?? '', new RegExp(`${rest.length + MiB} of the ${size} bytes`))
  })
}

/** A server with no room left in the send buffer when it responds; `filling`: how much comes before the response. */
async function serveBehindFull(t: ExecutionContext, path: string) {
  let filled = 0
  const respond = (res: ServerResponse): Promise<TransferResult> => {
    if (res.socket) filled = fillSendBuffer(res.socket)
    return respondWithFile(res, path)
  }
  const server = await serve(t, respond, { unix: true })
  return { server, filling: () => filled }
}

test('a file that is truncated before its one call destroys the connection', async (t) => {
  const file = makeFile(65_535, 'one-call', memory())
  const { server, filling } = await serveBehindFull(t, file.path)
  const client = await server.connect()
  client.request()
  client.request()
  await until('the request', () => server.outcomes.length > 0)
  truncateSync(file.path, 10_000)
  await client.take(filling())
  t.is((await client.head()).headers['content-length'], '65535')
  t.true((await client.take(Infinity)).equals(file.bytes.subarray(0, 10_000)))
  t.like((await server.outcome()).error, { code: 'ERR_ZCIO_SOURCE_TRUNCATED', bytes: 10_000 })
})

test('a small file that has been read is sent as it was', async (t) => {
  const file = makeFile(10_000, 'small', memory())
  const { server, filling } = await serveBehindFull(t, file.path)
  const client = await server.connect()
  client.request()
  await until('the request', () => server.outcomes.length === 1)
  truncateSync(file.path, 0)
  await client.take(filling())
  const answer = await client.answer()
  t.true(answer.complete)
  t.is(answer.hash, sha256(file.bytes))
})

test('a file that is truncated on its way through streams destroys the connection', async (t) => {
  const file = makeFile(size, 'large', memory())
  const server = await serveFile(t, file.path, {
    unix: true,
    prepare: (res) => (res.strictContentLength = true),
  })
  const client = await server.connect()
  client.request()
  await client.head()
  await client.take(MiB)
  truncateSync(file.path, MiB)
  t.true((await client.drain()) + MiB < size)
  t.like((await server.outcome()).error, { code: 'ERR_ZCIO_SOURCE_TRUNCATED', side: 'source' })
})

test('a file that grows midway is sent to its promised length, and then as it has become', async (t) => {
  const file = makeFile(size, 'large', memory())
  const { server, client } = await midway(t, file)
  const more = pattern(1000, 1)
  appendFileSync(file.path, more)
  t.true((await client.take(size - MiB)).equals(file.bytes.subarray(MiB)))
  const answer = await client.answer()
  t.is(answer.headers['content-length'], String(size + 1000))
  t.is(answer.hash, sha256(Buffer.concat([file.bytes, more])))
  t.is((await server.outcome()).value?.bytes, size)
})

test('a file that is replaced midway is sent as it was, and then as it has become', async (t) => {
  const file = makeFile(size, 'large', memory())
  const { client } = await midway(t, file)
  writeFileSync(`${file.path}.new`, 'new')
  renameSync(`${file.path}.new`, file.path)
  t.true((await client.take(size - MiB)).equals(file.bytes.subarray(MiB)))
  t.is((await client.answer()).hash, sha256(Buffer.from('new')))
})
