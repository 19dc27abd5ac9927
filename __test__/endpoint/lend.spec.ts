// What becomes of the two ends: after success, after a failure, and when the transfer was refused.

import test from 'ava'
import { createReadStream, createWriteStream, fstatSync, readFileSync, truncateSync } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { transfer } from 'zcio'
import { content, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, memory, pathFor, pattern, sha256 } from '../helpers/files.js'
import { serve } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { received, sockets, take } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

const size = 8 * 2 ** 20
const bytes = pattern(size)
const file = makeFile(bytes)

test('descriptors stay open whatever happens, and whatever moves their bytes', async (t) => {
  const from = opened(t, file.path)
  const blocking = pipe(t, { readerBlocking: true, writerBlocking: true })
  const nonblocking = pipe(t)
  const to = sink(t)
  for (const { reader, writer } of [blocking, nonblocking]) {
    const echo = new PassThrough()
    await Promise.all([
      transfer(Readable.from([bytes.subarray(0, 1000)]), writer).then(() => {
        t.true(fstatSync(writer.fd).isFIFO())
        writer.close()
      }),
      transfer(reader, echo),
      transfer(echo, to),
    ])
    t.true(fstatSync(reader.fd).isFIFO())
  }
  t.deepEqual(content(to), Buffer.concat([bytes.subarray(0, 1000), bytes.subarray(0, 1000)]))
  await transfer(from, new PassThrough().resume(), { end: true })
  t.is((await failure(transfer(from, opened(t, '/dev/full', 'w'), { start: 0, end: true }))).code, 'ENOSPC')
  t.is(fstatSync(from).size, size)
})

test('after a failure both streams are destroyed, or, with end: false, neither', async (t) => {
  for (const end of [true, false]) {
    const from = createReadStream(file.path)
    const to = createWriteStream('/dev/full')
    to.on('error', () => undefined)
    const error = await failure(transfer(from, to, { end }))
    t.is(error.code, 'ENOSPC')
    t.is(from.destroyed, end)
    if (end) t.true(to.destroyed)
    from.destroy()
    to.destroy()
  }
})

test('after an abort both streams are destroyed, or, with end: false, neither', async (t) => {
  for (const end of [true, false]) {
    const [near, far] = await sockets(t, 'unix')
    const from = createReadStream(file.path)
    const controller = new AbortController()
    const moving = failure(transfer(from, near, { end, signal: controller.signal }))
    const start = await take(far, 1000)
    controller.abort()
    const { bytes: moved } = await moving
    t.is(from.destroyed, end)
    t.is(near.destroyed, end)
    if (!end) near.end(bytes.subarray(moved))
    const arrived = Buffer.concat([start, await received(far)])
    t.is(sha256(arrived), sha256(end ? bytes.subarray(0, moved) : bytes))
    from.destroy()
  }
})

test('what is refused before it begins stays as it was', async (t) => {
  const path = pathFor('sink')
  const from = createReadStream(file.path)
  const to = createWriteStream(path)
  for (const options of [{ length: -1 }, { signal: 'no' as never }]) {
    await failure(transfer(from, to, options))
  }
  const through = new PassThrough()
  t.is((await failure(transfer(from, through, { fallback: false }))).code, 'ERR_ZCIO_COPY_REQUIRED')
  t.false(from.destroyed || to.destroyed || through.destroyed)
  t.is((await transfer(from, to)).bytes, size)
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

test('errors of streams that nobody listens to reject, and do not end the process', async (t) => {
  const missing = createReadStream('/nowhere/at/all')
  const full = createWriteStream('/dev/full')
  t.is((await failure(transfer(missing, sink(t)))).code, 'ENOENT')
  t.is((await failure(transfer(source(t, bytes), full))).code, 'ENOSPC')
  const [near, far] = await sockets(t)
  const moving = failure(transfer(source(t, bytes), near))
  await take(far, 1000)
  far.resetAndDestroy()
  await moving
})

test('files of streams are closed, also when the other end fails at once', async (t) => {
  const path = makeFile(1000).path
  const [near] = await sockets(t)
  near.destroy()
  await failure(transfer(createReadStream(path), near))
  await failure(transfer(createReadStream(path), createWriteStream('/nowhere/at/all')))
  await transfer(createReadStream(path), sink(t))
  await until('closing', () => !openDescriptors().includes(path))
  t.false(openDescriptors().includes(path))
})

test('a response gets a body as long as its head declares, by sendfile', async (t) => {
  const server = await serve(t, (res) => {
    res.setHeader('Content-Length', 1000)
    return transfer(opened(t, file.path), res, { start: 5 })
  })
  const client = await server.connect()
  for (const index of [0, 1]) {
    const answer = await client.get()
    t.like(answer, { status: 200, bytes: 1000, complete: true, hash: sha256(bytes.subarray(5, 1005)) })
    t.deepEqual(await server.outcome(index), {
      value: { bytes: 1000, mechanism: 'sendfile', fallbacks: [] },
    })
  }
})

test('a response without a declared length is left to streams', async (t) => {
  const server = await serve(t, (res) => transfer(createReadStream(file.path), res))
  const client = await server.connect()
  t.like(await client.get(), { bytes: size, complete: true, hash: sha256(bytes) })
  t.like(await server.outcome(), {
    value: { bytes: size, mechanism: 'stream', fallbacks: [{ mechanism: 'sendfile', code: 'CHUNKED' }] },
  })
})

test('with end: false a response is sent in parts, and ended by its owner', async (t) => {
  const server = await serve(t, async (res) => {
    res.setHeader('Content-Length', 2007)
    const from = opened(t, file.path)
    await transfer(from, res, { length: 1000, end: false })
    res.write('between')
    const result = await transfer(from, res, { length: 1000, end: false })
    res.end()
    return result
  })
  const client = await server.connect()
  const answer = await client.get()
  const body = Buffer.concat([bytes.subarray(0, 1000), Buffer.from('between'), bytes.subarray(1000, 2000)])
  t.like(answer, { bytes: 2007, complete: true, hash: sha256(body) })
  t.is((await client.get()).complete, true, 'the connection lives on')
})

test('two transfers to one response at once: the second is refused', async (t) => {
  const server = await serve(t, async (res) => {
    res.setHeader('Content-Length', size)
    const first = transfer(opened(t, file.path), res)
    t.like(await failure(transfer(opened(t, file.path), res)), { code: 'ERR_ZCIO_BUSY', bytes: 0 })
    return first
  })
  const client = await server.connect()
  t.like(await client.get(), { complete: true, hash: sha256(bytes) })
  t.like(await server.outcome(), { value: { bytes: size } })
})

/** oven-sh/bun#34185, oven-sh/bun#41622: the next response would run into the owed bytes. */
test('a response that is owed more than the source has loses its connection', async (t) => {
  const short = makeFile(bytes, 'short', memory())
  truncateSync(short.path, 1000)
  const server = await serve(t, (res) => {
    res.setHeader('Content-Length', 2000)
    return transfer(opened(t, short.path), res)
  })
  const client = await server.connect()
  t.like(await client.get(), { bytes: 1000, complete: false })
  const { error } = await server.outcome()
  t.like(error, { code: 'ERR_ZCIO_SOURCE_TRUNCATED', bytes: 1000, side: 'source' })
})
