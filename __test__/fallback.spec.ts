// What only Node's streams can move: it moves all the same, and the result says so and why.

import test from 'ava'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { getDefaultHighWaterMark, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createGunzip, createGzip } from 'node:zlib'
import { transfer, type Mechanism, type TransferError, type TransferResult } from 'zcio'
import { tell } from './helpers/children.js'
import { content, opened, pipe, position, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from './helpers/files.js'
import { received, sockets } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const size = 500_000
const bytes = pattern(size)
const file = makeFile(bytes)

function byStream(moved = size, mechanism: Mechanism = 'splice'): TransferResult {
  return { bytes: moved, mechanism: 'stream', fallbacks: [{ mechanism, code: 'STREAM' }] }
}

/** In pieces of every size. */
function chunks(all = bytes): Buffer[] {
  return Array.from({ length: Math.ceil(all.length / 7919) }, (_, at) =>
    all.subarray(at * 7919, (at + 1) * 7919),
  )
}

test('a readable goes to a descriptor, and is there when the promise resolves', async (t) => {
  const to = sink(t)
  t.deepEqual(await transfer(Readable.from(chunks()), to), byStream())
  t.is(sha256(content(to)), sha256(bytes))
  t.is(position(to), size)
})

test('a readable goes to a descriptor at an offset, or to its end where it appends', async (t) => {
  const [to, appended] = [sink(t), makeFile(Buffer.from('before '))]
  await transfer(Readable.from(chunks()), to, { sinkStart: 5n })
  t.is(sha256(content(to)), sha256(Buffer.concat([Buffer.alloc(5), bytes])))
  await transfer(Readable.from(chunks()), opened(t, appended.path, 'a'))
  t.is(sha256(readFileSync(appended.path)), sha256(Buffer.concat([appended.bytes, bytes])))
})

test('a range of a descriptor goes to a writable, and its position moves by no more', async (t) => {
  const from = opened(t, file.path)
  for (const [options, expected] of [
    [{ start: 10, length: 100_000 }, bytes.subarray(10, 100_010)],
    [{ length: 100_000 }, bytes.subarray(0, 100_000)],
    [{ length: 0 }, bytes.subarray(0, 0)],
    [{ start: 0n }, bytes],
    [{}, bytes.subarray(100_000)],
  ] as const) {
    const to = new PassThrough()
    const [result, arrived] = await Promise.all([transfer(from, to, options), buffer(to)])
    t.deepEqual(result, byStream(expected.length, 'sendfile'))
    t.is(sha256(arrived), sha256(expected))
  }
  t.is(position(from), size)
})

test('a nonblocking pipe is waited for, as source and as sink', async (t) => {
  const between = pipe(t)
  const to = new PassThrough()
  const [reading, writing, arrived] = await Promise.all([
    transfer(between.reader, to),
    transfer(Readable.from(chunks()), between.writer).finally(() => {
      between.writer.close()
    }),
    buffer(to),
  ])
  t.deepEqual(reading, byStream())
  t.deepEqual(writing, byStream())
  t.is(sha256(arrived), sha256(bytes))
})

test('a bare socket is written without being ended', async (t) => {
  const [near, far] = await sockets(t)
  const { _handle: handle } = near as unknown as { _handle: { fd: number } }
  await transfer(Readable.from(chunks()), handle.fd, { end: true })
  near.end('more')
  t.is(sha256(await received(far)), sha256(Buffer.concat([bytes, Buffer.from('more')])))
})

test('what a stream could not put back is not taken', async (t) => {
  const from = pipe(t)
  from.writeSync(Buffer.from('0123456789'))
  const error = await failure(transfer(from.reader, new PassThrough(), { length: 4 }))
  t.like(error, { code: 'ERR_ZCIO_UNSUPPORTED', side: 'source', bytes: 0 })
  t.regex(error.message, /pass a net\.Socket/)
  t.is(from.buffered, 10)
})

test('through a transform', async (t) => {
  const [gzip, gunzip, to] = [createGzip(), createGunzip(), sink(t)]
  const [into, between, out] = await Promise.all([
    transfer(createReadStream(file.path), gzip),
    transfer(gzip, gunzip),
    transfer(gunzip, to),
  ])
  t.deepEqual([into, out], [byStream(size, 'sendfile'), byStream()])
  t.is(between.mechanism, 'stream')
  t.is(sha256(content(to)), sha256(bytes))
})

test('a length takes so much of a readable, and leaves the rest in it', async (t) => {
  const from = Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000, 2000)])
  const to = sink(t)
  t.deepEqual(await transfer(from, to, { length: 1500, end: false }), byStream(1500))
  t.deepEqual(content(to), bytes.subarray(0, 1500))
  t.false(from.destroyed)
  t.deepEqual(await buffer(from), bytes.subarray(1500, 2000))
})

test('with end: false the writable stays open, and has taken all', async (t) => {
  const taken: Buffer[] = []
  const to = new Writable({
    highWaterMark: 2 * size,
    write(chunk: Buffer, _, done) {
      setImmediate(() => {
        taken.push(chunk)
        done()
      })
    },
  })
  await transfer(Readable.from([bytes.subarray(0, 100), bytes.subarray(100)]), to, { end: false })
  t.is(sha256(Buffer.concat(taken)), sha256(bytes))
  t.true(to.writable)
})

test('with end: true it has finished, and what it does at the end is done', async (t) => {
  const events: string[] = []
  const to = new Writable({
    write: (_chunk, _encoding, done) => {
      done()
    },
    final: (done) => {
      setTimeout(() => {
        events.push('final')
        done()
      }, 20)
    },
  })
  const from = createReadStream(file.path)
  await transfer(from, to)
  t.deepEqual(events, ['final'])
  t.true(to.writableFinished)
  t.true(from.destroyed)
})

test('strings and plain arrays of bytes are bytes', async (t) => {
  const to = sink(t)
  const result = await transfer(Readable.from(['äöü', new Uint8Array([1, 2, 3])]), to)
  t.is(result.bytes, 9)
  t.deepEqual(content(to), Buffer.concat([Buffer.from('äöü'), Buffer.from([1, 2, 3])]))
})

test('fallback: false forbids it, before anything moves', async (t) => {
  for (const [from, to] of [
    [Readable.from(['x']), sink(t)],
    [source(t, bytes), new PassThrough()],
    [source(t, bytes), opened(t, '/dev/null', 'w')],
    [createReadStream(file.path).pause(), sink(t)],
  ] as const) {
    const error = await failure(transfer(from, to, { fallback: false }))
    t.like(error, { code: 'ERR_ZCIO_COPY_REQUIRED', bytes: 0 })
    t.regex(error.message, /fallback: true/)
    if (from instanceof Readable) from.destroy()
  }
})

test('streams have no positions', async (t) => {
  const flowing = createReadStream(file.path)
  await once(flowing, 'readable')
  for (const [from, to, options, side] of [
    [Readable.from(['x']), sink(t), { start: 0 }, 'source'],
    [flowing, sink(t), { start: 0 }, 'source'],
    [pipe(t).reader, new PassThrough(), { start: 0 }, 'source'],
    [source(t, bytes), new PassThrough(), { sinkStart: 0 }, 'sink'],
    [Readable.from(['x']), createWriteStream(pathFor('sink')), { sinkStart: 0 }, 'sink'],
    [Readable.from(['x']), pipe(t).writer, { sinkStart: 0 }, 'sink'],
  ] as const) {
    const error = await failure(transfer(from, to, options))
    t.like(error, { code: 'ESPIPE', syscall: 'lseek', side, bytes: 0 })
  }
})

test('a source that fails says how much the sink has', async (t) => {
  const to = sink(t)
  const failing = Readable.from(
    (async function* () {
      yield* chunks(bytes.subarray(0, 100_000))
      await new Promise((resolve) => setTimeout(resolve, 50))
      throw Object.assign(new Error('no more'), { code: 'ENOMORE' })
    })(),
  )
  const error = await failure(transfer(failing, to))
  t.like(error, { code: 'ENOMORE', message: 'no more', side: 'source' })
  t.true(error.bytes > 0)
  t.is(sha256(content(to)), sha256(bytes.subarray(0, error.bytes)))
})

test('a sink that fails says how much it had accepted', async (t) => {
  const taken: Buffer[] = []
  const failing = new Transform({
    transform(chunk: Buffer, _, done) {
      if (taken.length === 5) done(new Error('full'))
      else done(null, taken.push(chunk) > 0 ? undefined : chunk)
    },
  })
  const from = Readable.from(chunks())
  const error = await failure(transfer(from, failing))
  t.like(error, { message: 'full', side: 'sink', bytes: Buffer.concat(taken).length })
  t.true(from.destroyed)
})

test('a stream that is destroyed midway rejects', async (t) => {
  for (const side of ['source', 'sink'] as const) {
    const from = new PassThrough()
    const to = new PassThrough().resume()
    from.write('some')
    const moving = failure(transfer(from, to))
    setTimeout(() => (side === 'source' ? from : to).destroy(), 20)
    t.like(await moving, { code: 'ERR_STREAM_PREMATURE_CLOSE', side, bytes: 4 })
    t.true(from.destroyed && to.destroyed)
  }
})

test('a sink that has ended or is destroyed is none, and nothing is taken for it', async (t) => {
  const finished = new Writable({
    write: (_chunk, _encoding, done) => {
      done()
    },
  }).end()
  await once(finished, 'close')
  const ended = new PassThrough().end()
  const broken = new PassThrough()
  broken.on('error', () => undefined).destroy(new Error('broken before'))
  for (const [to, message] of [
    [finished, /closed/],
    [ended, /closed/],
    [new PassThrough().destroy(), /closed/],
    [broken, /broken before/],
  ] as const) {
    for (const end of [true, false]) {
      const from = new PassThrough()
      from.end('some')
      const error = await failure(transfer(from, to, { end }))
      t.like(error, { side: 'sink', bytes: 0 })
      t.regex(error.message, message)
      t.is(from.destroyed, end)
      if (!end) t.is(String(from.read()), 'some')
    }
  }
})

test('an abort is prompt, whether source or sink is waited for', async (t) => {
  const idle = new PassThrough()
  idle.write('some')
  const full = new Writable({ write: () => undefined })
  const blocked = pipe(t)
  for (const [from, to, moved] of [
    [idle, new PassThrough().resume(), 4],
    [Readable.from(chunks()), full, 0],
    [Readable.from(chunks()), blocked.writer, undefined],
  ] as const) {
    const controller = new AbortController()
    const moving = failure(transfer(from, to, { signal: controller.signal }))
    setTimeout(() => {
      controller.abort('enough')
    }, 20)
    const error = await moving
    t.like(error, { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' })
    t.is(error.bytes, moved ?? blocked.buffered)
    t.true(from.destroyed)
  }
  t.true(full.destroyed)
})

/** A stream that is read piece by piece. */
function pieces(): Readable {
  return Readable.from(chunks(), { objectMode: false })
}

/** A sink that takes `room` bytes, one piece after the other, and then does as it is told. */
function limited(
  room: number,
  then: (done: (error: Error) => void, sink: Writable) => void,
): Writable & { got: Buffer[] } {
  const got: Buffer[] = []
  const to = new Writable({
    highWaterMark: 30_000,
    write(chunk: Buffer, _, done) {
      if (Buffer.concat(got).length >= room) then(done, to)
      else {
        got.push(chunk)
        setImmediate(done)
      }
    },
  })
  return Object.assign(to, { got })
}

test('what the sink does not accept goes back into a source that lives on, and else with the error', async (t) => {
  for (const end of [true, false]) {
    for (const then of [
      (done: (error: Error) => void): void => {
        done(new Error('full'))
      },
      (_: unknown, to: Writable): void => {
        to.destroy()
      },
      (_: unknown, to: Writable): void => {
        to.destroy(new Error('gone'))
      },
    ]) {
      const from = pieces()
      const to = limited(100_000, then)
      const { bytes: moved, residual, side } = await failure(transfer(from, to, { end }))
      t.deepEqual([side, moved], ['sink', Buffer.concat(to.got).length])
      t.is(residual === undefined, !end)
      const rest = residual ?? (await buffer(from))
      t.is(sha256(rest), sha256(bytes.subarray(moved, moved + rest.length)))
      if (end)
        t.true(
          rest.length >= 7919 && rest.length < 5 * getDefaultHighWaterMark(false),
          'no more than was under way',
        )
      else t.is(rest.length, size - moved)
    }
  }
})

test('aborted, a sink that lives on sees to what it was given, and the source has the rest', async (t) => {
  const from = pieces()
  const controller = new AbortController()
  const to = limited(100_000, (done) => {
    controller.abort()
    setTimeout(done as () => void, 20)
  })
  const error = await failure(transfer(from, to, { end: false, signal: controller.signal }))
  t.true(error.bytes > 100_000)
  to.end()
  await once(to, 'finish')
  t.is(error.residual, undefined)
  t.is(sha256(await buffer(from)), sha256(bytes.subarray(error.bytes)))
})

test('a descriptor that a stream went to has as much as the error says', async (t) => {
  for (const end of [true, false]) {
    for (let turns = 0; turns < 10; turns++) {
      const from = pieces()
      const [to, controller] = [sink(t), new AbortController()]
      const over = transfer(from, to, { end, signal: controller.signal }).catch((error: unknown) => error)
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      controller.abort()
      const { bytes: moved, residual } = (await over) as TransferError
      t.is(content(to).length, moved)
      const rest = end ? (residual ?? Buffer.alloc(0)) : await buffer(from)
      t.is(sha256(rest), sha256(end ? bytes.subarray(moved, moved + rest.length) : bytes.subarray(moved)))
    }
  }
})

test('what was read of a bare pipe, and not accepted, goes with the error', async (t) => {
  const [from, controller] = [pipe(t), new AbortController()]
  from.writeSync(bytes.subarray(0, 40_000))
  const stuck = new Writable({ highWaterMark: 1, write: () => undefined })
  const over = failure(transfer(from.reader, stuck, { signal: controller.signal }))
  await until('it is read', () => from.buffered === 0)
  controller.abort()
  t.like(await over, { bytes: 0, residual: bytes.subarray(0, 40_000) })
})

test('a source that is closed meanwhile changes nothing of the error', async (t) => {
  const [from, controller] = [await open(file.path), new AbortController()]
  const stuck = new Writable({ write: () => undefined })
  const over = failure(transfer(from, stuck, { signal: controller.signal }))
  await until('it is given something', () => stuck.writableLength > 0)
  await from.close()
  controller.abort()
  const { name, bytes: moved, residual } = await over
  t.deepEqual([name, moved], ['AbortError', 0])
  t.is(sha256(residual ?? Buffer.alloc(0)), sha256(bytes.subarray(0, residual?.length)))
})

test('what a worker had open for Node is closed with it', async (t) => {
  const { path } = makeFile(0)
  const worker = `
    const { openSync } = require('node:fs')
    const { PassThrough } = require('node:stream')
    const { parentPort } = require('node:worker_threads')
    import('zcio').then(({ transfer }) => {
      const source = new PassThrough()
      source.write('some')
      const onProgress = () => parentPort.postMessage('moving')
      transfer(source, openSync(${JSON.stringify(path)}, 'w'), { onProgress })
      setInterval(() => source.write('more'), 10)
    })`
  const left = await tell(`
    import { readdirSync, readlinkSync } from 'node:fs'
    import { once } from 'node:events'
    import { Worker } from 'node:worker_threads'
    import 'zcio'
    const isIt = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd) === ${JSON.stringify(path)} } catch {} }
    for (let round = 0; round < 3; round += 1) {
      const thread = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] })
      await once(thread, 'message')
      await thread.terminate()
    }
    console.log(readdirSync('/proc/self/fd').filter(isIt).length)`)
  t.is(left, 0)
})

test('progress is reported, and the last is the whole', async (t) => {
  const reports: number[] = []
  const slow = Readable.from(
    (async function* () {
      for (const chunk of chunks(bytes.subarray(0, 50_000))) {
        await new Promise((resolve) => setTimeout(resolve, 30))
        yield chunk
      }
    })(),
  )
  await transfer(slow, sink(t), { onProgress: (report) => reports.push(report.bytes) })
  t.true(reports.length > 1)
  t.deepEqual(
    reports,
    [...reports].sort((a, b) => a - b),
  )
  t.is(reports.at(-1), 50_000)
})
