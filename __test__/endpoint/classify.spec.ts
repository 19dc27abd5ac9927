// What can be an end: Node's own objects by what they are, descriptors by their numbers, nothing else.

import test from 'ava'
import fc from 'fast-check'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable, Stream } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { classifySink, classifySource, descriptor, streamOf } from '#src/endpoint/classify.js'
import { transfer, type Sink, type Source } from 'zcio'
import { content, sink, source } from '../helpers/descriptors.js'
import { failure, thrown } from '../helpers/failures.js'
import { makeFile, pathFor, pattern } from '../helpers/files.js'
import { sockets } from '../helpers/sockets.js'

const bytes = pattern(1000)

test("Node's own objects are what they are, although most of them have an fd", async (t) => {
  const [near] = await sockets(t)
  const reader = createReadStream(makeFile(bytes).path)
  const writer = createWriteStream(pathFor('sink'))
  const both = new PassThrough()
  t.deepEqual([reader, near, both].map(classifySource), [
    { kind: 'file', stream: reader },
    { kind: 'socket', socket: near },
    { kind: 'stream', stream: both },
  ])
  t.deepEqual([writer, near, both].map(classifySink), [
    { kind: 'file', stream: writer },
    { kind: 'socket', socket: near },
    { kind: 'stream', stream: both },
  ])
  const ends = [classifySource(reader), classifySink(near), classifySink(writer), classifySink(both)]
  t.deepEqual(ends.map(streamOf), [reader, near, writer, both])
  for (const stream of [reader, writer]) stream.destroy()
})

test('numbers, and objects with one, are descriptors', async (t) => {
  const handle = await open(makeFile(bytes).path)
  t.teardown(() => handle.close())
  for (const [given, fd] of [
    [0, 0],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [{ fd: 7 }, 7],
    [handle, handle.fd],
  ] as const) {
    t.deepEqual(classifySource(given), { kind: 'descriptor', fd })
    t.deepEqual(classifySink(given), { kind: 'descriptor', fd })
    t.is(descriptor('pipe', given), fd)
    t.is(streamOf(classifySink(given)), undefined)
  }
})

test('a closed FileHandle is refused by name', async (t) => {
  const handle = await open(makeFile(bytes).path)
  await handle.close()
  for (const call of [() => classifySource(handle), () => classifySink(handle)]) {
    const error = thrown(call)
    t.is(error.code, 'ERR_OUT_OF_RANGE')
    t.regex(
      error.message,
      /^The value of "(source|sink)\.fd" is out of range\. .* Received type number \(-1\)$/,
    )
  }
})

/** Such as those of readable-stream, which have the methods and not the prototype. */
class OldReadable extends Stream {
  read(): null {
    return null
  }
  pause(): this {
    return this
  }
  resume(): this {
    return this
  }
}

test('a readable of another maker is one', async (t) => {
  const from = new OldReadable() as unknown as Readable
  const to = sink(t)
  const moving = transfer(from, to)
  setImmediate(() => {
    from.emit('data', bytes.subarray(0, 100))
    from.emit('data', bytes.subarray(100))
    from.emit('end')
  })
  t.deepEqual(await moving, {
    bytes: bytes.length,
    mechanism: 'stream',
    fallbacks: [{ mechanism: 'splice', code: 'STREAM' }],
  })
  t.deepEqual(content(to), bytes)
})

test('a writable of another maker is one: a response of HTTP/2', async (t) => {
  let answered: Promise<unknown> = Promise.resolve()
  const server = createServer((_, res) => {
    answered = transfer(source(t, bytes), res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.teardown(() => {
    session.close()
    server.close()
  })
  const request = session.request({ ':path': '/' })
  t.deepEqual(await buffer(request), bytes)
  t.like(await answered, { bytes: bytes.length, mechanism: 'stream' })
})

test('anything else is refused, by name and with what would do', async (t) => {
  const nothing = fc.oneof(
    fc.constantFrom(undefined, null, true, 1n, Symbol('fd'), () => 1, {}, [], { fd: '1' }, new Date(0)),
    fc.string(),
    fc.bigInt(),
  )
  await fc.assert(
    fc.asyncProperty(nothing, async (junk) => {
      const asSource = await failure(transfer(junk as Source, 1))
      t.true(asSource instanceof TypeError)
      t.is(asSource.code, 'ERR_INVALID_ARG_TYPE')
      t.regex(
        asSource.message,
        /^The "source" argument must be a descriptor, .* or a readable stream\. Received /s,
      )
      const asSink = await failure(transfer(0, junk as Sink))
      t.true(asSink instanceof TypeError)
      t.regex(
        asSink.message,
        /^The "sink" argument must be a descriptor, .* or a writable stream\. Received /s,
      )
    }),
    { numRuns: 50 },
  )
})

test('a number that no descriptor can have is refused, by name', async (t) => {
  const wrong = fc.oneof(
    fc.constantFrom(NaN, Infinity, -Infinity, -1, 0.5, 2 ** 31, -(2 ** 31), Number.MAX_VALUE),
    fc.integer({ max: -1 }),
    fc.double({ noInteger: true }),
  )
  await fc.assert(
    fc.asyncProperty(wrong, fc.boolean(), async (fd, bare) => {
      for (const [name, promise] of [
        ['source', transfer(bare ? fd : { fd }, 1)],
        ['sink', transfer(0, bare ? fd : { fd })],
      ] as const) {
        const error = await failure(promise)
        t.true(error instanceof RangeError)
        t.is(error.code, 'ERR_OUT_OF_RANGE')
        t.true(error.message.startsWith(`The value of "${bare ? name : `${name}.fd`}" is out of range.`))
      }
    }),
    { numRuns: 50 },
  )
})

test('a descriptor that is not open is an error of the kernel', async (t) => {
  const closed = 1_000_000
  t.like(await failure(transfer(closed, sink(t))), { code: 'EBADF', errno: -9, side: 'source', bytes: 0 })
  t.like(await failure(transfer(source(t, bytes), closed)), {
    code: 'EBADF',
    errno: -9,
    side: 'sink',
    bytes: 0,
  })
  t.like(await failure(transfer(closed, new PassThrough())), { code: 'EBADF', side: 'source', bytes: 0 })
  t.like(await failure(transfer(Readable.from(['x']), closed)), { code: 'EBADF', side: 'sink', bytes: 0 })
})
