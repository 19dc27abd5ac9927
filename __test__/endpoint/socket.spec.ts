// A net.Socket as the sink: in order with what JavaScript writes, ended or not, and gone midway.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { constants, createReadStream, openSync, readFileSync } from 'node:fs'
import { Socket, type AddressInfo } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { transfer, type TransferResult } from 'zcio'
import { content, fifo, opened, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, pattern, sha256 } from '../helpers/files.js'
import { openDescriptors } from '../helpers/processes.js'
import { bare, received, sockets, take, type Family } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

const MIB = 2 ** 20
const size = 8 * MIB
const MUCH = 64 * MIB
const bytes = pattern(size)
const file = makeFile(bytes)
const bySendfile = { mechanism: 'sendfile', fallbacks: [] } as const

for (const family of ['tcp', 'unix'] as Family[]) {
  test(`a file goes to a ${family} socket by sendfile, which then ends`, async (t) => {
    const [near, far] = await sockets(t, family)
    const from = createReadStream(file.path)
    const arrived = received(far)
    t.deepEqual(await transfer(from, near), { bytes: size, ...bySendfile })
    t.true(near.writableFinished)
    t.true(from.destroyed)
    t.is(sha256(await arrived), sha256(bytes))
  })

  test(`what was written to a ${family} socket before comes before, and after after`, async (t) => {
    const [near, far] = await sockets(t, family)
    const queued = pattern(3 * MIB, 1)
    near.write('first ')
    near.write(queued)
    const moving = transfer(source(t, bytes), near)
    near.write(' meanwhile')
    const start = await take(far, 4 * MIB)
    near.write(' midway')
    near.end(' last')
    near.on('error', (error) => t.fail(error.message))
    const rest = await received(far)
    await moving
    const expected = [
      Buffer.from('first '),
      queued,
      Buffer.from(' meanwhile'),
      bytes,
      Buffer.from(' midway last'),
    ]
    t.is(sha256(Buffer.concat([start, rest])), sha256(Buffer.concat(expected)))
  })
}

test('with end: false socket and stream stay as they are', async (t) => {
  const [near, far] = await sockets(t)
  const from = createReadStream(file.path, { end: 99 })
  const arrived = received(far)
  await transfer(from, near, { end: false })
  t.false(from.destroyed)
  t.true(near.writable)
  t.is(near.writableCorked, 0)
  t.is(near.listenerCount('error'), 0)
  near.end('more')
  t.deepEqual(await arrived, Buffer.concat([bytes.subarray(0, 100), Buffer.from('more')]))
  from.destroy()
})

test('transfers to one socket, one after the other, come one after the other', async (t) => {
  const [near, far] = await sockets(t)
  const arrived = received(far)
  const from = source(t, bytes)
  for (const start of [0, MIB, 2 * MIB]) {
    await transfer(from, near, { start, length: MIB, end: false })
    near.write('|')
  }
  await transfer(from, near, { start: 3 * MIB })
  const bar = Buffer.from('|')
  const parts = [0, 1, 2].flatMap((at) => [bytes.subarray(at * MIB, (at + 1) * MIB), bar])
  t.is(sha256(await arrived), sha256(Buffer.concat([...parts, bytes.subarray(3 * MIB)])))
})

test('two transfers to one socket at once: the second is refused, and disturbs nothing', async (t) => {
  const [near, far] = await sockets(t)
  const from = source(t, bytes)
  const first = transfer(from, near, { start: 0 })
  const second = createReadStream(file.path)
  const error = await failure(transfer(second, near))
  t.like(error, { code: 'ERR_ZCIO_BUSY', bytes: 0 })
  t.false(second.destroyed, 'it can still be sent')
  second.destroy()
  t.is(
    (await failure(transfer(from, bare(near), { start: 0 }))).code,
    'ERR_ZCIO_BUSY',
    'by its descriptor too',
  )
  const arrived = received(far)
  t.is((await first).bytes, size)
  t.is(sha256(await arrived), sha256(bytes))
})

test('a bare descriptor is busy while a transfer writes to it, and free afterwards', async (t) => {
  const [near, far] = await sockets(t)
  // More than the kernel keeps for both ends.
  const from = source(t, Buffer.alloc(MUCH))
  const first = transfer(from, bare(near), { start: 0 })
  await take(far, 1000)
  for (const to of [bare(near), near]) {
    const error = await failure(transfer(from, to, { start: 0, end: false }))
    t.like(error, { code: 'ERR_ZCIO_BUSY', bytes: 0 })
  }
  // Reading from it is another direction.
  const other = transfer(bare(near), sink(t))
  far.write('hello')
  far.resume()
  t.is((await first).bytes, MUCH)
  t.is((await transfer(from, bare(near), { start: 0, length: 10 })).bytes, 10)
  far.end()
  t.is((await other).bytes, 5)
})

/** What the peer did reaches us as EPIPE, as ECONNRESET, or by Node's closing the socket: whichever is first. */
const GONE = ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']

for (const family of ['tcp', 'unix'] as Family[]) {
  test(`a peer that goes away midway fails the transfer, over ${family}, and nothing else`, async (t) => {
    const [near, far] = await sockets(t, family)
    const from = createReadStream(file.path)
    const moving = transfer(from, near)
    await take(far, MIB)
    if (family === 'tcp') far.resetAndDestroy()
    else far.destroy()
    const error = await failure(moving)
    t.true(GONE.includes(error.code ?? ''), error.message)
    t.is(error.side, 'sink')
    t.true(error.bytes >= MIB && error.bytes < size, String(error.bytes))
    t.true(near.destroyed)
    t.true(from.destroyed)
  })
}

test('a peer that was gone before fails the transfer', async (t) => {
  const [near, far] = await sockets(t)
  far.resetAndDestroy()
  await once(far, 'close')
  const error = await failure(transfer(source(t, bytes), near))
  t.true(GONE.includes(error.code ?? ''), error.message)
  t.like(error, { side: 'sink', bytes: 0 })
})

test('a socket destroyed midway ends the transfer, and its peer hears at once', async (t) => {
  const [near, far] = await sockets(t)
  const from = createReadStream(file.path)
  const moving = transfer(from, near)
  await take(far, 1000)
  const arrived = received(far)
  near.destroy()
  const error = await failure(moving)
  t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink' })
  // One more call may have been under way.
  t.true((await arrived).length + 1000 <= size)
  t.true(from.destroyed)
})

test('a socket that has ended or is destroyed is refused', async (t) => {
  const [ended, far] = await sockets(t)
  ended.end()
  far.end()
  for (const destroy of [false, true]) {
    if (destroy) ended.destroy()
    const from = createReadStream(file.path)
    const error = await failure(transfer(from, ended))
    t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink', bytes: 0 })
    t.true(from.destroyed, 'it leaks nothing')
  }
})

test('a corked socket is left to streams', async (t) => {
  const [near, far] = await sockets(t)
  near.cork()
  near.write('before ')
  const moving = transfer(source(t, bytes), near)
  setImmediate(() => {
    near.uncork()
  })
  t.is(sha256(await received(far)), sha256(Buffer.concat([Buffer.from('before '), bytes])))
  t.deepEqual(await moving, byStream('CORKED'))
})

test('a socket whose write is not its own is left to streams', async (t) => {
  const [near, far] = await sockets(t)
  let calls = 0
  const write = near.write.bind(near) as (...args: unknown[]) => boolean
  near.write = (...args: unknown[]) => {
    calls += 1
    return write(...args)
  }
  const arrived = received(far)
  t.deepEqual(await transfer(source(t, bytes), near), byStream('WRAPPED'))
  t.is(sha256(await arrived), sha256(bytes))
  t.true(calls > 0)
})

test('TLS is left to streams, which end only what they write', async (t) => {
  const [near, far] = await tlsSockets(t)
  const arrived = take(far, size)
  t.like(await failure(transfer(source(t, bytes), near, { fallback: false })), {
    code: 'ERR_ZCIO_COPY_REQUIRED',
    bytes: 0,
  })
  // The far end says nothing: the near one stays readable.
  t.deepEqual(await transfer(source(t, bytes), near), byStream('TLS'))
  t.is(sha256(await arrived), sha256(bytes))
  t.false(near.destroyed)
  far.end('still heard')
  t.is(String(await received(near)), 'still heard')
})

test('a pipe in a net.Socket, as process.stdout may be, is a pipe', async (t) => {
  for (const snapshot of [false, true]) {
    const path = fifo()
    const reader = opened(t, path, constants.O_RDONLY | constants.O_NONBLOCK)
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    const near = new Socket({ fd, readable: false, writable: true })
    const to = sink(t)
    const reading = transfer(reader, to)
    const { mechanism } = await transfer(source(t, bytes), near, { snapshot })
    t.is(mechanism, snapshot ? 'read_write' : 'splice')
    t.is((await reading).bytes, size)
    t.is(sha256(content(to)), sha256(bytes))
  }
})

test('sockets leave no descriptors behind', async (t) => {
  const count = (): number => openDescriptors().filter((link) => link === file.path).length
  const [near, far] = await sockets(t)
  far.resume()
  await transfer(createReadStream(file.path), near)
  const [gone] = await sockets(t)
  gone.destroy()
  await failure(transfer(createReadStream(file.path), gone))
  await until('the file to be closed', () => count() === 0)
  t.is(count(), 0)
})

function byStream(code: string): TransferResult {
  return { bytes: size, mechanism: 'stream', fallbacks: [{ mechanism: 'sendfile', code }] }
}

async function tlsSockets(t: ExecutionContext): Promise<[near: TLSSocket, far: TLSSocket]> {
  const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
  const server = createTlsServer({
    key: fixture('tls-key.pem'),
    cert: fixture('tls-certificate.pem'),
    allowHalfOpen: true,
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const near = connectTls({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false })
  const [[far]] = await Promise.all([accepted, once(near, 'secureConnect')])
  server.close()
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return [near, far]
}
