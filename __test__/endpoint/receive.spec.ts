// Sockets of Node's as sources of a transfer.

import test from 'ava'
import { createWriteStream, readFileSync, readSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { bridge, transfer } from 'zcio'
import { content, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { pathFor, pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'
import { until, within } from '../helpers/wait.js'

for (const family of ['tcp', 'unix'] as const) {
  test(`what a ${family} socket receives goes to a file by splice`, async (t) => {
    const [near, far] = await sockets(t, family)
    const bytes = pattern(3_000_001)
    far.end(bytes)
    const fd = sink(t)
    t.deepEqual(await transfer(near, fd), { bytes: bytes.length, mechanism: 'splice', fallbacks: [] })
    t.is(sha256(content(fd)), sha256(bytes))
    t.true(near.destroyed)
  })
}

test('from socket to socket, to the end of both', async (t) => {
  const [[near, far], [other, end]] = [await sockets(t), await sockets(t)]
  const bytes = pattern(5_000_000)
  far.end(bytes)
  const moving = transfer(near, other)
  t.is(sha256(await received(end)), sha256(bytes))
  t.is((await moving).mechanism, 'splice')
  t.deepEqual([near.bytesRead, other.bytesWritten], [bytes.length, bytes.length])
})

test("into a pipe, and into a stream of Node's", async (t) => {
  const [[near, far], [other, from]] = [await sockets(t), await sockets(t)]
  const { writer, reader } = pipe(t)
  far.end('through a pipe')
  t.is((await transfer(near, writer)).mechanism, 'splice')
  const buffer = Buffer.alloc(100)
  t.is(buffer.toString('utf8', 0, readSync(reader.fd, buffer)), 'through a pipe')
  const path = pathFor('sink')
  from.end('into a stream')
  await transfer(other, createWriteStream(path))
  t.is(readFileSync(path, 'utf8'), 'into a stream')
})

for (const state of ['flowing', 'paused', 'half read'] as const) {
  test(`what Node has read of a ${state} socket goes first`, async (t) => {
    const [near, far] = await sockets(t)
    const seen: Buffer[] = []
    if (state === 'flowing') near.on('data', (chunk: Buffer) => seen.push(chunk))
    far.write(pattern(30_000))
    if (state === 'half read') seen.push(await take(near, 1000))
    if (state === 'paused') {
      near.resume().pause()
      await until('Node has read', () => near.readableLength > 0)
    }
    const fd = sink(t)
    const moving = transfer(near, fd)
    far.end('late')
    await moving
    const all = Buffer.concat([...seen, content(fd)])
    t.is(sha256(all), sha256(Buffer.concat([pattern(30_000), Buffer.from('late')])))
    t.is(near.bytesRead, 30_004)
  })
}

test('behind the length JavaScript reads on where the engine stopped', async (t) => {
  const [near, far] = await sockets(t)
  far.end(pattern(100_000))
  const fd = sink(t)
  t.is((await transfer(near, fd, { length: 60_000, end: false })).bytes, 60_000)
  const rest = await received(near)
  t.is(sha256(Buffer.concat([content(fd), rest])), sha256(pattern(100_000)))
  t.is(near.bytesRead, 100_000)
})

test('a length that what Node has read already exceeds leaves the rest in the stream', async (t) => {
  const [near, far] = await sockets(t)
  far.end(pattern(50_000))
  near.resume().pause()
  await until('Node has read', () => near.readableLength === 50_000)
  const fd = sink(t)
  t.is((await transfer(near, fd, { length: 20_000, end: false })).bytes, 20_000)
  t.is(sha256(Buffer.concat([content(fd), await received(near)])), sha256(pattern(50_000)))
})

test('after an abort what was taken is in the stream again, in order', async (t) => {
  const [[near, far], [other, end]] = [await sockets(t), await sockets(t)]
  const bytes = pattern(8 << 20)
  const abort = new AbortController()
  far.end(bytes)
  const moving = failure(transfer(near, other, { signal: abort.signal, end: false }))
  await until('the sink is full', () => other.bytesWritten > 200_000)
  abort.abort()
  const error = await within('an abort', moving)
  t.is(error.name, 'AbortError')
  t.is(error.residual, undefined)
  const rest = received(near)
  const accepted = await take(end, error.bytes)
  t.is(sha256(Buffer.concat([accepted, await rest])), sha256(bytes))
})

test("after a failure that ends both streams what was taken is the error's", async (t) => {
  const [[near, far], [other, end]] = [await sockets(t), await sockets(t)]
  const bytes = pattern(8 << 20)
  const abort = new AbortController()
  far.end(bytes)
  far.on('error', () => undefined)
  const moving = failure(transfer(near, other, { signal: abort.signal }))
  await until('the sink is full', () => other.bytesWritten > 200_000)
  abort.abort()
  const { bytes: moved, residual = Buffer.alloc(0) } = await moving
  const accepted = await received(end)
  t.is(accepted.length, moved)
  t.is(sha256(Buffer.concat([accepted, residual])), sha256(bytes.subarray(0, moved + residual.length)))
  t.true(near.destroyed && other.destroyed)
})

test('a source that is destroyed midway ends the transfer, and its peer learns of it at once', async (t) => {
  const [[near, far], [other]] = [await sockets(t), await sockets(t)]
  const moving = failure(transfer(near, other, { end: false }))
  far.write('some')
  await until('it moves', () => other.bytesWritten === 4)
  const told = received(far)
  near.destroy()
  t.like(await moving, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'source', bytes: 4 })
  await told
  t.false(other.destroyed)
})

test('a socket is read by one transfer at a time, and may be written by another', async (t) => {
  const [near, far] = await sockets(t)
  const first = transfer(near, sink(t))
  t.is((await failure(transfer(near, sink(t)))).code, 'ERR_ZCIO_BUSY')
  const back = transfer(source(t, 1000), near, { end: false })
  t.is((await take(far, 1000)).length, 1000)
  await back
  far.end('done')
  t.is((await first).bytes, 4)
})

test('what has to be read by Node is: an encoding, an end that was read, a parser', async (t) => {
  const [[decoded, far], [ended, gone]] = [await sockets(t), await sockets(t)]
  decoded.setEncoding('utf8')
  far.end('decoded')
  const first = await transfer(decoded, sink(t))
  t.deepEqual(first.fallbacks, [{ mechanism: 'splice', code: 'ENCODING' }])

  gone.end('all of it')
  ended.resume().pause()
  await until('the end is read', () => ended.readableLength > 0)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const fd = sink(t)
  t.is((await transfer(ended, fd)).bytes, 9)
  t.is(content(fd).toString(), 'all of it')

  const server = createServer((req, res) => {
    failure(transfer(req.socket, sink(t), { fallback: false })).then(
      ({ code }) => res.end(code),
      (error: unknown) => res.destroy(error as Error),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  t.regex((await received(client)).toString(), /ERR_ZCIO_COPY_REQUIRED$/)
})

const ways: Record<string, (socket: Socket) => unknown> = {
  'resume()': (socket) => socket.resume(),
  'read()': (socket) => socket.read() as unknown,
  "a listener to 'data'": (socket) => socket.on('data', () => undefined),
  "a listener to 'readable'": (socket) => socket.on('readable', () => socket.read() as unknown),
  'pipe()': (socket) => socket.pipe(new PassThrough()),
}

for (const [how, read] of Object.entries(ways)) {
  test(`JavaScript that wants to read by ${how} does not read beside the engine, also what was never read`, async (t) => {
    // The near end is read by Node as soon as it is connected; the far end, by `pauseOnConnect`, never was.
    for (const isNear of [true, false]) {
      const [near, far] = await sockets(t)
      const [from, to] = isNear ? [near, far] : [far, near]
      const [[one, end], bytes] = [await sockets(t), pattern(600_000)]
      const over = isNear ? transfer(from, one) : bridge(from, one).then(({ aToB }) => aToB)
      const arrived = received(end)
      await setImmediate()
      read(from)
      await setImmediate()
      // Else it would be chance who gets the bytes.
      t.false((from as unknown as { _handle: { reading: boolean } })._handle.reading, 'libuv reads')
      to.write(bytes.subarray(0, 300_000))
      await until('half has moved', () => one.bytesWritten === 300_000)
      to.end(bytes.subarray(300_000))
      t.is(sha256(await arrived), sha256(bytes))
      end.end()
      t.is((await over).bytes, bytes.length)
    }
  })
}

test('a socket has no offset to start from', async (t) => {
  const [near] = await sockets(t)
  t.like(await failure(transfer(near, sink(t), { start: 5 })), { code: 'ESPIPE', side: 'source' })
})
