// Requests that come before their predecessors are answered. All but the first response have no socket until it is
// their turn, and each must leave in its own place: head, body, head, body.

import test from 'ava'
import { setImmediate } from 'node:timers/promises'
import { respondWithFile } from 'zcio/http'
import { makeFile, pattern, sha256 } from '../helpers/files.js'
import { serve } from '../helpers/http-server.js'
import { until } from '../helpers/wait.js'

const file = makeFile(4 * 1024 * 1024)
const sizes = [0, 1, 4096, 32_768, 32_769, 60_000, 65_536, 65_537, 300_000, 2_000_000]

for (const unix of [false, true]) {
  const kind = unix ? 'a unix socket' : 'TCP'

  test(`pipelined requests over ${kind} are answered in order, whatever their sizes`, async (t) => {
    // oven-sh/bun#7954, #9701, #3668: files sent at once lost their last byte, or left before their head.
    let queued = 0
    const server = await serve(
      t,
      (res, req) => {
        if (res.socket === null) queued++
        const [start = 0, length = 0] = req.url?.slice(1).split('-').map(Number) ?? []
        if (length === 0) return respondWithFile(res, file.path, { start: file.bytes.length })
        return respondWithFile(res, file.path, { start, end: start + length - 1 })
      },
      { unix },
    )
    const client = await server.connect()
    const wanted = Array.from({ length: 60 }, (_, i) => ({
      start: i * 17,
      length: sizes[(i * 7) % sizes.length] ?? 0,
    }))
    for (const { start, length } of wanted) client.request(`/${start}-${length}`)
    // The client does not read, until the kernel's buffers are full somewhere in the middle of an answer.
    await until('the first answers', () => server.outcomes.length > 1)
    for (let i = 0; i < 50; i++) await setImmediate()
    t.true(queued > 0)
    for (const { start, length } of wanted) {
      const answer = await client.answer()
      t.is(answer.bytes, length)
      t.is(answer.hash, sha256(file.bytes.subarray(start, start + length)))
    }
    for (const [i, { length }] of wanted.entries()) t.is((await server.outcome(i)).value?.bytes, length)
  })
}

test('a pipelined file waits for slow answers of other kinds before it', async (t) => {
  const server = await serve(t, async (res, req) => {
    if (req.url === '/file') return respondWithFile(res, file.path)
    await until('the request for the file', () => server.outcomes.length === 3)
    for (let i = 0; i < 10; i++) {
      res.write(pattern(10_000, i))
      await setImmediate()
    }
    res.end()
    return { bytes: 0, mechanism: 'stream', fallbacks: [] }
  })
  const client = await server.connect()
  client.request('/slow')
  client.request('/slow')
  client.request('/file')
  for (let i = 0; i < 2; i++) t.is((await client.answer()).bytes, 100_000)
  t.is((await client.answer()).hash, sha256(file.bytes))
  t.is((await server.outcome(2)).value?.mechanism, 'sendfile')
})

test('HEAD and 304 in a pipeline have no body', async (t) => {
  const server = await serve(t, (res, req) => {
    if (req.url === '/304') res.statusCode = 304
    return respondWithFile(res, file.path)
  })
  const client = await server.connect()
  const requests = [
    ['/', 'HEAD'],
    ['/304', 'GET'],
    ['/', 'GET'],
    ['/304', 'HEAD'],
    ['/', 'HEAD'],
    ['/', 'GET'],
  ] as const
  for (const [path, method] of requests) client.request(path, method)
  for (const [path, method] of requests) {
    const answer = await client.answer(method)
    t.is(answer.status, path === '/' ? 200 : 304)
    t.is(answer.bytes, path === '/' && method === 'GET' ? file.bytes.length : 0)
  }
})

test('answers that are waiting for their turn end when the client goes', async (t) => {
  const server = await serve(t, (res) => respondWithFile(res, file.path))
  const client = await server.connect()
  for (let i = 0; i < 8; i++) client.request()
  await client.head()
  await until('all requests', () => server.outcomes.length === 8)
  client.reset()
  for (let i = 0; i < 8; i++) {
    const { error } = await server.outcome(i)
    t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    if (i > 0) t.is(error?.bytes, 0)
  }
})

test('an answer that is waiting for its turn can be aborted, and those around it arrive', async (t) => {
  const abort = new AbortController()
  const server = await serve(t, async (res, req) => {
    if (req.url !== '/aborted') return respondWithFile(res, file.path)
    try {
      return await respondWithFile(res, file.path, { signal: abort.signal })
    } finally {
      res.writeHead(503).end()
    }
  })
  const client = await server.connect()
  for (const path of ['/', '/aborted', '/']) client.request(path)
  await until('all requests', () => server.outcomes.length === 3)
  abort.abort()
  t.like((await server.outcome(1)).error, { name: 'AbortError', bytes: 0 })
  t.is((await client.answer()).hash, sha256(file.bytes))
  t.is((await client.answer()).status, 503)
  t.is((await client.answer()).hash, sha256(file.bytes))
})

test('an answer after one that closes the connection is not sent', async (t) => {
  const server = await serve(t, (res, req) => {
    if (req.url === '/last') res.setHeader('Connection', 'close')
    return respondWithFile(res, file.path)
  })
  const client = await server.connect()
  client.request('/last')
  client.request('/more')
  t.is((await client.answer()).hash, sha256(file.bytes))
  t.is(await client.drain(), 0)
  await until('the second request, if it was heard', () => server.outcomes.length > 0)
  if (server.outcomes.length > 1) {
    t.is((await server.outcome(1)).error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  }
})

test('a request of HTTP/1.0 gets its file, and the connection ends', async (t) => {
  const server = await serve(t, (res) => respondWithFile(res, file.path))
  const client = await server.connect()
  client.socket.write('GET / HTTP/1.0\r\n\r\n')
  const answer = await client.answer()
  t.is(answer.headers.connection, 'close')
  t.is(answer.hash, sha256(file.bytes))
  t.is(await client.drain(), 0)
})
