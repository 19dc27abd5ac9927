// Each primitive against its man page: what it moves, how far it gets, and how it fails.

import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { fstatSync, readSync } from 'node:fs'
import {
  constants,
  copyFileRange,
  copyFileRangeSync,
  sendfile,
  sendfileSync,
  splice,
  spliceSync,
  tee,
  teeSync,
  type Descriptor,
  type Pipe,
} from 'zcio'
import { run } from './helpers/children.js'
import { content, contentAt, opened, pipe, position, sink, source } from './helpers/descriptors.js'
import { failure, thrown, told } from './helpers/failures.js'
import { makeFile, memory, pattern, sha256 } from './helpers/files.js'
import { bare, received, sockets } from './helpers/sockets.js'

const { SPLICE_F_NONBLOCK } = constants
const size = 100_000
const bytes = pattern(size)

/** All that is in a pipe. */
function drain(from: Pipe): Buffer {
  const read = Buffer.alloc(from.buffered)
  if (read.length > 0) from.readSync(read)
  return read
}

function failed(call: () => unknown, syscall: string, code: string): (t: ExecutionContext) => void {
  return (t) => {
    const error = thrown(call)
    t.true(error instanceof Error)
    t.is(error.code, code)
    t.is(error.syscall, syscall)
    t.true((error.errno ?? 0) < 0)
    t.true(error.message.startsWith(`${code}: `) && error.message.endsWith(`, ${syscall}`), error.message)
  }
}

test('sendfile: moves a range, and the position stays', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  t.is(sendfileSync(to, from, 10, 1000), 1000)
  t.is(sendfileSync(to, from, 10n, 1000n), 1000)
  t.deepEqual(content(to), Buffer.concat([bytes.subarray(10, 1010), bytes.subarray(10, 1010)]))
  t.is(position(from), 0)
})

/** python/cpython#150107: 0 is not «none». */
test('sendfile: without an offset it is the position that counts and moves', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  readSync(from, Buffer.alloc(100))
  t.is(sendfileSync(to, from, null, 1000), 1000)
  t.is(position(from), 1100)
  t.is(sendfileSync(to, from, 0, 1000), 1000)
  t.is(position(from), 1100)
  t.deepEqual(content(to), Buffer.concat([bytes.subarray(100, 1100), bytes.subarray(0, 1000)]))
})

test('sendfile: gives what there is, and 0 at the end', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  t.is(sendfileSync(to, from, 0, 2n ** 63n - 1n), size)
  t.is(sendfileSync(to, from, size, 1), 0)
  t.is(sendfileSync(to, from, 2n ** 40n, 1), 0)
  t.is(sendfileSync(to, from, 0, 0), 0)
  t.is(sha256(content(to)), sha256(bytes))
})

test('sendfile: to a socket, to a pipe, from a FileHandle', async (t) => {
  const [near, far] = await sockets(t)
  const from = source(t, bytes.subarray(0, 5000))
  t.is(sendfileSync(bare(near), { fd: from }, 0, 5000), 5000)
  near.end()
  t.deepEqual(await received(far), bytes.subarray(0, 5000))
  const to = pipe(t)
  t.is(sendfileSync(to.writer, from, 0, 5000), 5000)
  t.deepEqual(drain(to), bytes.subarray(0, 5000))
})

test('sendfile: fails as its man page says', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  const full = pipe(t)
  full.writeSync(Buffer.alloc(full.capacity))
  const unread = pipe(t)
  unread.reader.close()
  const appended = opened(t, makeFile(0).path, 'a')
  const { reader } = pipe(t)
  failed(() => sendfileSync(full.writer, from, 0, 1), 'sendfile', 'EAGAIN')(t)
  failed(() => sendfileSync(unread.writer, from, 0, 1), 'sendfile', 'EPIPE')(t)
  failed(() => sendfileSync(appended, from, 0, 1), 'sendfile', 'EINVAL')(t)
  failed(() => sendfileSync(from, from, 0, 1), 'sendfile', 'EBADF')(t)
  failed(() => sendfileSync(to, reader, 0, 1), 'sendfile', 'ESPIPE')(t)
  failed(() => sendfileSync(1_000_000, from, 0, 1), 'sendfile', 'EBADF')(t)
  t.is(position(from), 0)
})

test('splice: between a pipe and files, at positions and at offsets', (t) => {
  const [from, to, between] = [source(t, bytes), sink(t), pipe(t)]
  t.is(spliceSync(from, 100, between.writer, null, 4000), 4000)
  t.is(spliceSync(from, null, between.writer, null, 4000), 4000)
  t.is(position(from), 4000)
  t.is(spliceSync(between.reader, null, to, 0n, 4000), 4000)
  t.is(position(to), 0)
  t.is(spliceSync(between.reader, null, to, null, 5000), 4000)
  t.deepEqual(content(to), bytes.subarray(0, 4000), 'the second was written over the first')
})

test('splice: between pipes and sockets, and 0 at the end', async (t) => {
  const [near, far] = await sockets(t, 'unix')
  const [from, to] = [pipe(t), pipe(t)]
  from.writeSync(bytes.subarray(0, 5000))
  t.is(spliceSync(from.reader, null, bare(near), null, 5000), 5000)
  near.end()
  far.pause()
  t.is(spliceSync(bare(far), null, to.writer, null, 10_000), 5000)
  t.is(spliceSync(to.reader, null, from.writer, null, 10_000), 5000)
  t.deepEqual(drain(from), bytes.subarray(0, 5000))
  to.writer.close()
  t.is(spliceSync(to.reader, null, from.writer, null, 1), 0)
})

test('splice: fails as its man page says', (t) => {
  const [from, to, empty, full] = [source(t, bytes), sink(t), pipe(t), pipe(t)]
  full.writeSync(Buffer.alloc(full.capacity))
  failed(() => spliceSync(from, 0, to, 0, 1), 'splice', 'EINVAL')(t)
  failed(() => spliceSync(empty.reader, null, to, null, 1), 'splice', 'EAGAIN')(t)
  failed(() => spliceSync(from, 0, full.writer, null, 1, SPLICE_F_NONBLOCK), 'splice', 'EAGAIN')(t)
  failed(() => spliceSync(empty.reader, 0, to, null, 1), 'splice', 'ESPIPE')(t)
  failed(() => spliceSync(full.reader, null, full.writer, null, 1), 'splice', 'EINVAL')(t)
  failed(() => spliceSync(from, 0, full.writer, null, 1, 0x80), 'splice', 'EINVAL')(t)
  failed(() => spliceSync(from, 0, 1_000_000, null, 1), 'splice', 'EBADF')(t)
  empty.reader.close()
  failed(() => spliceSync(from, 0, empty.writer, null, 1), 'splice', 'EPIPE')(t)
})

test('tee: duplicates, takes nothing out, and so duplicates again', (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  from.writeSync(bytes.subarray(0, 5000))
  t.is(teeSync(from.reader, to.writer, 5000), 5000)
  t.is(teeSync(from.reader, to.writer, 1000), 1000)
  t.is(from.buffered, 5000)
  t.deepEqual(drain(to), Buffer.concat([bytes.subarray(0, 5000), bytes.subarray(0, 1000)]))
  t.deepEqual(drain(from), bytes.subarray(0, 5000))
  from.writer.close()
  t.is(teeSync(from.reader, to.writer, 1), 0)
})

test('tee: fails as its man page says', (t) => {
  const [from, full] = [pipe(t), pipe(t)]
  full.writeSync(Buffer.alloc(full.capacity))
  failed(() => teeSync(from.reader, full.writer, 1), 'tee', 'EAGAIN')(t)
  from.writeSync(Buffer.from('x'))
  failed(() => teeSync(from.reader, full.writer, 1), 'tee', 'EAGAIN')(t)
  failed(() => teeSync(source(t, bytes), full.writer, 1), 'tee', 'EINVAL')(t)
  failed(() => teeSync(from.reader, from.writer, 1), 'tee', 'EINVAL')(t)
  failed(() => teeSync(1_000_000, full.writer, 1), 'tee', 'EBADF')(t)
})

test('copy_file_range: at offsets and at positions, gives what there is, and 0 at the end', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  t.is(copyFileRangeSync(from, 100, to, 50n, 1000), 1000)
  t.deepEqual([position(from), position(to)], [0, 0])
  t.is(copyFileRangeSync(from, null, to, null, 50), 50)
  t.deepEqual([position(from), position(to)], [50, 50])
  t.deepEqual(content(to), Buffer.concat([bytes.subarray(0, 50), bytes.subarray(100, 1100)]))
  t.is(copyFileRangeSync(from, 0, to, 0, 2n ** 63n - 1n), size)
  t.is(copyFileRangeSync(from, size, to, 0, 1), 0)
})

test('copy_file_range: beyond 4 GiB', (t) => {
  const to = sink(t)
  const far = 5 * 2 ** 30
  t.is(copyFileRangeSync(source(t, bytes), 0, to, far, size), size)
  t.is(sha256(contentAt(to, far, size)), sha256(bytes))
})

test('copy_file_range: fails as its man page says', (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  failed(() => copyFileRangeSync(from, 0, pipe(t).writer, null, 1), 'copy_file_range', 'EINVAL')(t)
  failed(() => copyFileRangeSync(opened(t, '/'), 0, to, 0, 1), 'copy_file_range', 'EISDIR')(t)
  failed(
    () => copyFileRangeSync(from, 0, opened(t, makeFile(0).path, 'a'), 0, 1),
    'copy_file_range',
    'EBADF',
  )(t)
  failed(() => copyFileRangeSync(to, 0, from, 0, 1), 'copy_file_range', 'EBADF')(t)
  const elsewhere = sink(t, memory())
  if (fstatSync(elsewhere).dev === fstatSync(from).dev) return
  failed(() => copyFileRangeSync(from, 0, elsewhere, 0, 1), 'copy_file_range', 'EXDEV')(t)
})

test('as promises they move what one call moves, at offsets and at positions', async (t) => {
  const [from, to, between, other] = [source(t, bytes), sink(t), pipe(t), pipe(t)]
  t.is(await sendfile(between.writer, from, 10n, 1000), 1000)
  t.is(await tee(between.reader, other.writer, 5000), 1000)
  t.is(await splice(between.reader, null, to, 5, 5000), 1000)
  t.is(await splice(other.reader, null, to, null, 400n), 400)
  t.is(await copyFileRange(from, 0, to, 2000, 2n ** 63n - 1n), size)
  t.is(await copyFileRange(from, null, to, null, 5), 5)
  t.deepEqual([position(from), position(to)], [5, 405])
  const expected = Buffer.alloc(2000 + size)
  bytes.copy(expected, 5, 10, 1010)
  bytes.copy(expected, 0, 10, 410)
  bytes.copy(expected, 400, 0, 5)
  bytes.copy(expected, 2000)
  t.deepEqual(content(to), expected)
  t.is(await sendfile(to, from, null, 100), 100, 'from file to file, behind a disk')
  t.deepEqual([position(from), position(to)], [105, 505])
})

test('as promises they give what there is, and 0 at the end', async (t) => {
  const [from, to, between] = [source(t, bytes), sink(t), pipe(t)]
  t.is(await sendfile(to, from, size - 10, 2n ** 63n - 1n), 10)
  t.is(await sendfile(to, from, 2n ** 40n, 1), 0)
  t.is(await copyFileRange(from, size, to, 0, 1), 0)
  t.is(await splice(from, size, between.writer, null, 1), 0)
  t.is(await sendfile(to, from, 0, 0), 0)
})

test('as promises they fail as their man pages say', async (t) => {
  const [from, to, empty] = [source(t, bytes), sink(t), pipe(t)]
  const unread = pipe(t)
  unread.reader.close()
  const appended = opened(t, makeFile(0).path, 'a')
  for (const [call, syscall, code] of [
    [() => sendfile(unread.writer, from, 0, 1), 'sendfile', 'EPIPE'],
    [() => sendfile(appended, from, 0, 1), 'sendfile', 'EINVAL'],
    [() => sendfile(from, from, 0, 1), 'sendfile', 'EBADF'],
    [() => sendfile(to, empty.reader, 0, 1), 'sendfile', 'ESPIPE'],
    [() => sendfile(1_000_000, from, 0, 1), 'sendfile', 'EBADF'],
    [() => splice(from, 0, to, 0, 1), 'splice', 'EINVAL'],
    [() => splice(empty.reader, 0, to, null, 1), 'splice', 'ESPIPE'],
    [() => splice(empty.reader, null, empty.writer, null, 1), 'splice', 'EINVAL'],
    [() => splice(from, 0, empty.writer, null, 1, 0x80), 'splice', 'EINVAL'],
    [() => splice(from, 0, 1_000_000, null, 1), 'splice', 'EBADF'],
    [() => splice(from, 0, unread.writer, null, 1), 'splice', 'EPIPE'],
    [() => tee(from, empty.writer, 1), 'tee', 'EINVAL'],
    [() => tee(empty.reader, empty.writer, 1), 'tee', 'EINVAL'],
    [() => copyFileRange(from, 0, empty.writer, null, 1), 'copy_file_range', 'EINVAL'],
    [() => copyFileRange(opened(t, '/'), 0, to, 0, 1), 'copy_file_range', 'EISDIR'],
    [() => copyFileRange(from, 0, appended, 0, 1), 'copy_file_range', 'EBADF'],
  ] as const) {
    const error = await failure(call())
    failed(
      () => {
        throw error
      },
      syscall,
      code,
    )(t)
  }
})

test('as promises they refuse bad input by name, and do not throw', async (t) => {
  const at = pipe(t)
  for (const [call, argument] of [
    [sendfile(1, 'x' as never, 0, 1), 'source'],
    [sendfile(-1, 0, 0, 1), 'sink'],
    [sendfile(1, 0, undefined as never, 1), 'offset'],
    [sendfile(1, 0, 0, -1), 'count'],
    [splice({ fd: -1 }, null, 1, null, 1), 'source.fd'],
    [splice(at.reader, 1.5, 1, null, 1), 'sourceOffset'],
    [splice(at.reader, null, 1, -1n, 1), 'sinkOffset'],
    [splice(at.reader, null, 1, null, '1' as never), 'length'],
    [splice(at.reader, null, 1, null, 1, -1), 'flags'],
    [tee(at.reader, at.writer, NaN), 'length'],
    [copyFileRange(0, 0, null as never, 0, 1), 'sink'],
  ] as const) {
    const { code, message } = await failure(call)
    t.true(code === 'ERR_INVALID_ARG_TYPE' || code === 'ERR_OUT_OF_RANGE', code)
    t.true(message.includes(`"${argument}"`), message)
  }
})

/** Node ignores SIGPIPE only until somebody listens to it, and no longer. */
test('EPIPE is an error and never a signal, whoever has listened', async (t) => {
  const { code, stdout } = await run(`
    import { Pipe, sendfileSync, spliceSync, transfer } from 'zcio'
    import { openSync } from 'node:fs'
    let signals = 0
    const listener = () => { signals += 1 }
    process.on('SIGPIPE', listener)
    const source = openSync(process.execPath)
    const pipe = new Pipe()
    pipe.reader.close()
    const codes = []
    const fails = (call) => { try { call() } catch ({ code }) { codes.push(code) } }
    const all = async () => {
      fails(() => sendfileSync(pipe.writer, source, 0, 1))
      fails(() => spliceSync(source, 0, pipe.writer, null, 1))
      fails(() => pipe.writeSync(Buffer.from('x')))
      await transfer(source, pipe.writer).catch(({ code }) => codes.push(code))
    }
    await all()
    process.off('SIGPIPE', listener)
    await all()
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(JSON.stringify({ signals, codes }))`)
  t.is(code, 0)
  t.deepEqual(JSON.parse(stdout), { signals: 0, codes: Array.from({ length: 8 }, () => 'EPIPE') })
})

const calls: Record<string, (overrides: Record<string, unknown>) => unknown> = {
  sendfile: ({ sink = 1, source = 0, offset = 0, count = 1 }) =>
    sendfileSync(sink as Descriptor, source as Descriptor, offset as number, count as number),
  splice: ({ source = 0, sourceOffset = null, sink = 1, sinkOffset = null, length = 1, flags = 0 }) =>
    spliceSync(
      source as Descriptor,
      sourceOffset as null,
      sink as Descriptor,
      sinkOffset as null,
      length as number,
      flags as number,
    ),
  tee: ({ source = 0, sink = 1, length = 1, flags = 0 }) =>
    teeSync(source as Descriptor, sink as Descriptor, length as number, flags as number),
  copy_file_range: ({ source = 0, sourceOffset = 0, sink = 1, sinkOffset = 0, length = 1 }) =>
    copyFileRangeSync(
      source as Descriptor,
      sourceOffset as number,
      sink as Descriptor,
      sinkOffset as number,
      length as number,
    ),
}

const arguments_: Record<string, string[]> = {
  sendfile: ['sink', 'source', 'offset', 'count'],
  splice: ['source', 'sourceOffset', 'sink', 'sinkOffset', 'length', 'flags'],
  tee: ['source', 'sink', 'length', 'flags'],
  copy_file_range: ['source', 'sourceOffset', 'sink', 'sinkOffset', 'length'],
}

for (const [name, call] of Object.entries(calls)) {
  test(`${name}: bad input is refused before the call, by name`, (t) => {
    const types = fc.oneof(
      fc.constantFrom(true, {}, [], Symbol('x'), () => 1, new Date(0)),
      fc.string(),
    )
    const ranges = fc.oneof(fc.constantFrom(NaN, Infinity, -1, -0.5, 2 ** 53), fc.integer({ max: -1 }))
    for (const argument of arguments_[name] ?? []) {
      fc.assert(
        fc.property(types, (value) => {
          const error = thrown(() => call({ [argument]: value }))
          t.true(error instanceof TypeError, `${argument}: ${fc.stringify(value)}`)
          t.is(error.code, 'ERR_INVALID_ARG_TYPE')
          t.true(error.message.startsWith(`The "${argument}" argument must be `), error.message)
        }),
        { numRuns: 20 },
      )
      fc.assert(
        fc.property(ranges, (value) => {
          const error = thrown(() => call({ [argument]: value }))
          t.true(error instanceof RangeError, `${argument}: ${value}`)
          t.is(error.code, 'ERR_OUT_OF_RANGE')
          t.true(error.message.startsWith(`The value of "${argument}" is out of range.`), error.message)
        }),
        { numRuns: 20 },
      )
    }
  })
}

test('a missing offset is not a position by accident', (t) => {
  const error = thrown(() => sendfileSync(1, 0, undefined as never, 1))
  t.like(told(error), { code: 'ERR_INVALID_ARG_TYPE' })
  t.regex(error.message, /"offset"/)
})

test('a call on a blocking descriptor waits, as its man page says', (t) => {
  const from = pipe(t, { readerBlocking: true })
  from.writeSync(Buffer.from('x'))
  t.is(spliceSync(from.reader, null, sink(t), null, 10), 1)
  failed(() => spliceSync(from.reader, null, sink(t), null, 10, SPLICE_F_NONBLOCK), 'splice', 'EAGAIN')(t)
})
