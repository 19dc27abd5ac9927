// fs.ReadStream and fs.WriteStream as ends: taken over whole, or left to Node with the reason.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
  type ReadStream,
  type WriteStream,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { transfer, type Pipe, type TransferOptions, type TransferResult } from 'zcio'
import { content, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from '../helpers/files.js'
import { sockets, take } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

const size = 500_000
const bytes = pattern(size)
const file = makeFile(bytes)

function byStream(moved: number, code: string): TransferResult {
  return { bytes: moved, mechanism: 'stream', fallbacks: [{ mechanism: 'reflink', code }] }
}

test('a stream that is not open yet is opened, and its file goes to the kernel', async (t) => {
  const path = pathFor('sink')
  const [from, to] = [createReadStream(file.path), createWriteStream(path)]
  const { bytes: moved, mechanism } = await transfer(from, to)
  t.is(moved, size)
  t.true(['reflink', 'copy_file_range'].includes(mechanism), mechanism)
  t.is(sha256(readFileSync(path)), sha256(bytes))
  t.true(to.writableFinished)
  t.true(to.closed)
  t.is(to.bytesWritten, size)
  t.true(from.destroyed)
})

test('start and end of a read stream are its range, and both are inclusive', async (t) => {
  for (const [range, from, to] of [
    [{ start: 0, end: 0 }, 0, 1],
    [{ start: 100, end: 1099 }, 100, 1100],
    [{ start: 100 }, 100, size],
    [{ end: 99 }, 0, 100],
    [{ start: size }, size, size],
    [{ end: size * 2 }, 0, size],
  ] as const) {
    const fd = sink(t)
    const result = await transfer(createReadStream(file.path, range), fd)
    t.is(result.bytes, to - from)
    t.not(result.mechanism, 'stream')
    t.is(sha256(content(fd)), sha256(bytes.subarray(from, to)))
  }
})

test('a start or length of the transfer narrows the range of the stream', async (t) => {
  for (const [options, from, to] of [
    [{ length: 10 }, 100, 110],
    [{ start: 500 }, 500, 1000],
    [{ start: 500, length: 10n }, 500, 510],
    [{ start: 2000n }, 2000, 2000],
  ] as const) {
    const fd = sink(t)
    t.is(
      (await transfer(createReadStream(file.path, { start: 100, end: 999 }), fd, options)).bytes,
      to - from,
    )
    t.deepEqual(content(fd), bytes.subarray(from, to))
  }
})

test('a read stream on a descriptor begins at its position', async (t) => {
  const fd = openSync(file.path, 'r')
  readSync(fd, Buffer.alloc(1000))
  const to = sink(t)
  await transfer(createReadStream('', { fd, end: 99 }), to)
  t.deepEqual(content(to), bytes.subarray(1000, 1100))
})

test('the streams of a FileHandle are taken over, and close it', async (t) => {
  const [from, to] = [await open(file.path), await open(pathFor('sink'), 'w+')]
  const path = `/proc/self/fd/${to.fd}`
  const moving = transfer(from.createReadStream({ start: 5 }), to.createWriteStream({ start: 5 }))
  const copy = openSync(path, 'r')
  t.not((await moving).mechanism, 'stream')
  t.is(sha256(content(copy)), sha256(Buffer.concat([Buffer.alloc(5), bytes.subarray(5)])))
  t.deepEqual([from.fd, to.fd], [-1, -1])
})

const heard: Buffer[] = []
const touched: [how: string, begin: () => ReadStream | Promise<ReadStream>, from: number][] = [
  ['was paused', () => createReadStream(file.path).pause(), 0],
  ['is being read', begun, 1000],
  ['has been asked for bytes', asked, 0],
  ['has read ahead', ahead, 0],
  ['flows', () => createReadStream(file.path).on('data', (chunk) => heard.push(chunk as Buffer)), 0],
]
for (const [how, begin, from] of touched) {
  test(`a stream that ${how} is left to Node, and loses nothing`, async (t) => {
    const fd = sink(t)
    const stream = await begin()
    t.deepEqual(await transfer(stream, fd), byStream(size - from, 'FLOWING'))
    t.is(sha256(content(fd)), sha256(bytes.subarray(from)))
    t.true(stream.destroyed)
    if (how === 'flows') t.is(sha256(Buffer.concat(heard)), sha256(bytes))
  })
}

async function asked(): Promise<ReadStream> {
  const stream = createReadStream(file.path)
  await once(stream, 'ready')
  stream.read(0)
  return stream
}

async function ahead(): Promise<ReadStream> {
  const stream = createReadStream(file.path)
  await once(stream, 'readable')
  return stream
}

async function begun(): Promise<ReadStream> {
  const stream = createReadStream(file.path)
  await once(stream, 'readable')
  stream.read(1000)
  return stream
}

test('a stream with an encoding is left to Node, which encodes', async (t) => {
  const fd = sink(t)
  const result = await transfer(createReadStream(file.path, { encoding: 'hex' }), fd)
  t.deepEqual(result, byStream(2 * size, 'ENCODING'))
  t.is(content(fd).toString('latin1'), bytes.toString('hex'))
})

test('a stream that has ended has no more', async (t) => {
  const stream = createReadStream(file.path)
  stream.resume()
  await finished(stream)
  t.is((await transfer(stream, sink(t))).bytes, 0)
})

test('start of a write stream is where it is written, and it appends where it was opened to', async (t) => {
  for (const [options, expected] of [
    [{ flags: 'r+', start: 3 }, 'oldnew'],
    [{ flags: 'a' }, 'old contentnew'],
    [{ flags: 'w' }, 'new'],
  ] as const) {
    const { path } = makeFile(Buffer.from('old content'))
    const to = createWriteStream(path, options)
    await transfer(source(t, Buffer.from('new')), to)
    t.is(readFileSync(path, 'utf8').slice(0, expected.length), expected)
    t.is(to.bytesWritten, 3)
  }
})

test('what was written to a write stream before comes before, and after after', async (t) => {
  for (const options of [{}, { start: 0 }, { flags: 'a' }]) {
    const path = pathFor('sink')
    const to = createWriteStream(path, options)
    to.write('before ')
    to.write(bytes)
    const moving = transfer(source(t, bytes), to, { end: false })
    to.write(' meanwhile ')
    await moving
    to.write('after')
    to.end()
    await finished(to)
    const [before, middle, after] = ['before ', ' meanwhile ', 'after'].map((word) => Buffer.from(word))
    const written = readFileSync(path)
    const ways = [
      [before, bytes, middle, bytes, after],
      [before, bytes, bytes, middle, after],
    ].map((parts) => sha256(Buffer.concat(parts as Buffer[])))
    t.true(ways.includes(sha256(written)), 'in order, whether the queue was empty yet or not')
    t.is(to.bytesWritten, written.length)
  }
})

/** A write stream whose transfer goes on as long as a pipe is open. */
async function during(
  t: ExecutionContext,
  options: TransferOptions,
): Promise<{ path: string; to: WriteStream; from: Pipe; moving: Promise<TransferResult> }> {
  const path = pathFor('sink')
  const from = pipe(t)
  from.writeSync(Buffer.from('body '))
  const to = createWriteStream(path, { start: 0 })
  const moving = transfer(from.reader, to, options)
  await until('bytes', () => existsSync(path) && statSync(path).size > 0)
  return { path, to, from, moving }
}

test('a write stream that is written and ended meanwhile ends afterwards', async (t) => {
  const { path, to, from, moving } = await during(t, {})
  to.write('then ')
  to.end('the end')
  from.writeSync(Buffer.from('and more '))
  from.writer.close()
  t.is((await moving).bytes, 14)
  t.is(readFileSync(path, 'utf8'), 'body and more then the end')
})

test('a write stream goes on where a failed transfer left it', async (t) => {
  const controller = new AbortController()
  const { path, to, moving } = await during(t, { end: false, signal: controller.signal })
  controller.abort()
  t.like(await failure(moving), { code: 'ABORT_ERR', bytes: 5 })
  t.is(to.bytesWritten, 5)
  to.end('and more')
  await finished(to)
  t.is(readFileSync(path, 'utf8'), 'body and more')
})

test('a stream that is destroyed meanwhile ends the transfer', async (t) => {
  const { to, moving } = await during(t, {})
  to.destroy()
  t.like(await failure(moving), { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink', bytes: 5 })

  const [near, far] = await sockets(t, 'unix')
  const from = createReadStream(makeFile(8 * 2 ** 20).path)
  const stalled = transfer(from, near)
  await take(far, 1000)
  from.destroy(new Error('no longer wanted'))
  const error = await failure(stalled)
  t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'source' })
  t.is((error.cause as Error).message, 'no longer wanted')
  t.true(near.destroyed)
})

test('a corked write stream is left to Node', async (t) => {
  const path = pathFor('sink')
  const to = createWriteStream(path)
  to.cork()
  to.write('before ')
  setImmediate(() => {
    to.uncork()
  })
  t.deepEqual(await transfer(source(t, bytes), to), byStream(size, 'CORKED'))
  t.is(sha256(readFileSync(path)), sha256(Buffer.concat([Buffer.from('before '), bytes])))
})

test('two transfers to one write stream at once: the second is refused', async (t) => {
  const path = pathFor('sink')
  const to = createWriteStream(path)
  const first = transfer(source(t, bytes), to)
  const second = await failure(transfer(source(t, bytes), to))
  t.like(second, { code: 'ERR_ZCIO_BUSY', bytes: 0 })
  await first
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

test('a write stream that has ended is refused', async (t) => {
  const to = createWriteStream(pathFor('sink'))
  to.end()
  const from = createReadStream(file.path)
  const refused = { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink', bytes: 0 }
  t.like(await failure(transfer(from, to)), refused)
  t.true(from.destroyed)
  await finished(to)
  t.like(await failure(transfer(source(t, bytes), to)), refused)
})

test('what a write stream queued and could not write fails the transfer, and nothing else', async (t) => {
  const to = createWriteStream('/dev/full')
  to.write('too much')
  const error = await failure(transfer(source(t, bytes), to))
  t.like(error, { code: 'ENOSPC', side: 'sink', bytes: 0 })
  t.true(to.destroyed)
})

test('with end: false a read stream is not read on, and not closed', async (t) => {
  const from = createReadStream(file.path, { autoClose: false })
  const to = sink(t)
  await transfer(from, to, { end: false, length: 10 })
  t.false(from.destroyed)
  writeSync(to, '|')
  await transfer(from, to, { end: false, length: 10 })
  t.is(
    sha256(content(to)),
    sha256(Buffer.concat([bytes.subarray(0, 10), Buffer.from('|'), bytes.subarray(10, 20)])),
  )
  from.destroy()
  await once(from, 'close')
})

test('a write stream that is destroyed is closed when nothing is written to its file any more', async (t) => {
  const { path } = makeFile(0)
  truncateSync(path, 2 ** 32)
  const copy = pathFor('sink')
  const to = createWriteStream(copy)
  const moving = failure(transfer(opened(t, path), to))
  await until('much to be written', () => existsSync(copy) && statSync(copy).size > 4 << 20)
  to.destroy()
  await once(to, 'close')
  const { size: closed } = statSync(copy)
  await sleep(100)
  t.is(statSync(copy).size, closed)
  t.like(await moving, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink' })
})
