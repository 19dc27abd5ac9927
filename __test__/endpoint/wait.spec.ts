// What a transfer waits for before it begins, and that no wait outlives its reason.

import test, { type ExecutionContext } from 'ava'
import { getEventListeners, once } from 'node:events'
import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  openSync,
  type WriteStream,
} from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { transfer, type Sink } from 'zcio'
import { fifo, opened, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'

const size = 8 * 2 ** 20
const bytes = pattern(size)
const gone = { code: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0 }
const aborted = { name: 'AbortError', code: 'ABORT_ERR', bytes: 0 }

/** A socket that will never find out where to connect to. */
function unresolved(t: ExecutionContext): Socket {
  const socket = connect({ host: 'example.invalid', port: 1, lookup: () => undefined })
  t.teardown(() => socket.destroy())
  return socket
}

/** A stream that a thread is opening, and will until the test is over. */
function unopened(t: ExecutionContext): WriteStream {
  const path = fifo()
  t.teardown(() => {
    closeSync(openSync(path, 'r+'))
  })
  return createWriteStream(path)
}

/** A socket with a long queue, whose peer does not read. */
async function queued(t: ExecutionContext): Promise<[near: Socket, far: Socket]> {
  const [near, far] = await sockets(t)
  near.write(bytes)
  return [near, far]
}

test('a socket that is not connected yet is waited for', async (t) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  near.write('before ')
  const moving = transfer(source(t, bytes), near)
  const [far] = await accepted
  t.is(sha256(await received(far)), sha256(Buffer.concat([Buffer.from('before '), bytes])))
  t.like(await moving, { bytes: size, mechanism: 'sendfile' })
  server.close()
})

test('a long queue is waited for, in Node and in the kernel', async (t) => {
  const [near, far] = await queued(t)
  const moving = transfer(source(t, bytes), near)
  const start = await take(far, 1000)
  t.is(sha256(Buffer.concat([start, await received(far)])), sha256(Buffer.concat([bytes, bytes])))
  t.is((await moving).bytes, size)
})

test('a socket that does not come to be connected fails the transfer', async (t) => {
  const socket = unresolved(t)
  const connecting = failure(transfer(source(t, bytes), socket))
  socket.destroy()
  t.like(await connecting, { ...gone, side: 'sink' })

  const error = await failure(transfer(source(t, bytes), connect(pathFor('nobody'))))
  t.like(error, { code: 'ENOENT', syscall: 'connect', side: 'sink', bytes: 0 })
})

test('a socket that is destroyed, or whose peer is gone, before its queue is empty fails the transfer', async (t) => {
  const [near] = await queued(t)
  const waiting = failure(transfer(source(t, bytes), near))
  near.destroy()
  t.like(await waiting, { ...gone, side: 'sink' })

  const [other, far] = await queued(t)
  const writing = failure(transfer(source(t, bytes), other))
  await take(far, 1000)
  far.resetAndDestroy()
  const error = await writing
  t.true(['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? ''), error.message)
  t.like(error, { side: 'sink', bytes: 0 })
})

test('streams that are destroyed before they are open fail the transfer', async (t) => {
  const reader = createReadStream(makeFile(100).path)
  const writer = createWriteStream(pathFor('sink'))
  const other = createWriteStream(pathFor('sink'))
  const transfers = [
    failure(transfer(reader, sink(t))),
    failure(transfer(source(t, bytes), writer)),
    failure(transfer(source(t, bytes), other)),
  ]
  for (const stream of [reader, writer]) stream.destroy()
  other.destroy(new Error('no longer wanted'))
  const errors = await Promise.all(transfers)
  t.deepEqual(
    errors.map(({ code, message, bytes, side }) => ({ what: code ?? message, bytes, side })),
    [
      { what: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0, side: 'source' },
      { what: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0, side: 'sink' },
      { what: 'no longer wanted', bytes: 0, side: 'sink' },
    ],
  )
})

test('streams that cannot be opened fail the transfer, with what open says', async (t) => {
  const missing = await failure(transfer(createReadStream('/nowhere/at/all'), sink(t)))
  t.like(missing, { code: 'ENOENT', syscall: 'open', path: '/nowhere/at/all', side: 'source', bytes: 0 })
  const forbidden = await failure(transfer(source(t, bytes), createWriteStream('/proc/nothing/here')))
  t.like(forbidden, { code: 'ENOENT', syscall: 'open', side: 'sink', bytes: 0 })
})

/** Each ends a wait that would otherwise last for ever. */
const waits: [what: string, sink: (t: ExecutionContext) => Sink | Promise<Sink>][] = [
  ['connects', unresolved],
  ['empties its queue', async (t) => (await queued(t))[0]],
  ['is opened', unopened],
]
for (const [what, makeSink] of waits) {
  test(`an abort while the sink ${what} is prompt`, async (t) => {
    const controller = new AbortController()
    const to = await makeSink(t)
    const from = source(t, bytes)
    const aborting = failure(transfer(from, to, { signal: controller.signal }))
    setTimeout(() => {
      controller.abort(new Error('enough'))
    }, 20)
    const error = await aborting
    t.like(error, aborted)
    t.is((error.cause as Error).message, 'enough')
    t.is(fstatSync(from).size, size, 'the source is still open')
  })
}

test('an abort while the source is opened is prompt', async (t) => {
  const controller = new AbortController()
  const path = fifo()
  const reader = createReadStream(path)
  const to = sink(t)
  const aborting = failure(transfer(reader, to, { signal: controller.signal }))
  controller.abort()
  t.like(await aborting, aborted)
  // Lets go of the thread that is opening it.
  opened(t, path, 'r+')
  await once(reader, 'close')
  t.true(reader.destroyed)
})

test('a signal that is aborted already moves nothing', async (t) => {
  const to = sink(t)
  const reader = createReadStream(makeFile(100).path)
  const error = await failure(transfer(reader, to, { signal: AbortSignal.abort() }))
  t.like(error, aborted)
  t.true(reader.destroyed)
  t.is(fstatSync(to).size, 0)
})

test('no wait leaves a listener behind', async (t) => {
  const controller = new AbortController()
  const [near] = await sockets(t)
  const before = near.eventNames().map((name) => [name, near.listenerCount(name)])
  await transfer(source(t, 100), near, { signal: controller.signal, end: false })
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  t.deepEqual(
    near.eventNames().map((name) => [name, near.listenerCount(name)]),
    before,
  )
})
