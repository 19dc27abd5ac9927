// From file to file: which mechanism, and that every byte arrives where it should.

import test from 'ava'
import { fstatSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { transfer, type TransferResult } from 'zcio'
import { content, contentAt, opened, position, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, memory, pathFor, pattern, sha256 } from '../helpers/files.js'

const size = 3 * 1024 * 1024 + 17
const bytes = pattern(size)

/** Whether two places are two file systems, between which files cannot be cloned or copied by the kernel. */
const areTwo = statSync(memory()).dev !== statSync(pathFor('x').replace(/[^/]*$/, '')).dev

/** Some file systems clone, some do not; all copy by themselves. */
function isBestWithin(result: TransferResult): boolean {
  return result.mechanism === 'reflink'
    ? result.fallbacks.length === 0
    : result.mechanism === 'copy_file_range' && result.fallbacks.map((f) => f.mechanism).join() === 'reflink'
}

test('within a file system it clones, and where it cannot, the kernel copies', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  const result = await transfer(from, to)
  t.true(isBestWithin(result), JSON.stringify(result))
  t.is(result.bytes, size)
  t.is(sha256(content(to)), sha256(bytes))
})

test('a part of a file is copied by the kernel', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  const result = await transfer(from, to, { start: 1, length: size - 2 })
  t.deepEqual(result, {
    bytes: size - 2,
    mechanism: 'copy_file_range',
    fallbacks: [{ mechanism: 'reflink', code: 'RANGE' }],
  })
  t.is(sha256(content(to)), sha256(bytes.subarray(1, -1)))
})

for (const direction of ['from disk to memory', 'from memory to disk']) {
  test(`between file systems the pages go by sendfile, ${direction}`, async (t) => {
    if (!areTwo) {
      t.pass('there is only one file system here')
      return
    }
    const intoMemory = direction.endsWith('memory')
    const [from, to] = [
      source(t, bytes, intoMemory ? undefined : memory()),
      sink(t, intoMemory ? memory() : undefined),
    ]
    const result = await transfer(from, to)
    t.is(result.mechanism, 'sendfile')
    t.deepEqual(
      result.fallbacks.map(({ mechanism }) => mechanism),
      ['reflink', 'copy_file_range'],
    )
    t.is(sha256(content(to)), sha256(bytes))
  })
}

test('at an offset of another file system, where sendfile cannot write, it is spliced through a pipe', async (t) => {
  if (!areTwo) {
    t.pass('there is only one file system here')
    return
  }
  const [from, to] = [source(t, bytes, memory()), sink(t)]
  const result = await transfer(from, to, { sinkStart: 5, fallback: false })
  t.is(result.mechanism, 'splice')
  t.deepEqual(result.fallbacks.at(-1), { mechanism: 'sendfile', code: 'SINK_START' })
  t.is(sha256(content(to)), sha256(Buffer.concat([Buffer.alloc(5), bytes])))
})

/** golang/go#79660, oven-sh/bun#36758: the kernel refuses O_APPEND, and the flag is not ours to clear. */
test('a sink opened to append is appended to, by copying', async (t) => {
  const path = makeFile(Buffer.from('before '), 'sink').path
  const [from, to] = [source(t, bytes), opened(t, path, 'a')]
  t.is((await failure(transfer(from, to, { start: 0, fallback: false }))).code, 'ERR_ZCIO_COPY_REQUIRED')
  t.is(readFileSync(path, 'utf8'), 'before ')
  const result = await transfer(from, to)
  t.is(result.mechanism, 'read_write')
  t.deepEqual(
    result.fallbacks.map(({ code }) => code),
    ['O_APPEND', 'O_APPEND', 'O_APPEND', 'O_APPEND'],
  )
  writeSync(to, ' after')
  t.is(
    sha256(readFileSync(path)),
    sha256(Buffer.concat([Buffer.from('before '), bytes, Buffer.from(' after')])),
  )
})

/** oven-sh/bun#36758: never truncated, never written beyond what was asked for. */
test('what the sink holds around the copy stays', async (t) => {
  const to = opened(t, makeFile(Buffer.alloc(3000, 'x'), 'sink').path, 'r+')
  await transfer(source(t, bytes), to, { start: 10, sinkStart: 1000, length: 1000 })
  const around = Buffer.alloc(1000, 'x')
  t.deepEqual(content(to), Buffer.concat([around, bytes.subarray(10, 1010), around]))
})

test('a FileHandle is an end, stays open, and its position moves as by read and write', async (t) => {
  const from = await open(makeFile(bytes).path)
  const to = await open(pathFor('sink'), 'w+')
  t.teardown(() => Promise.all([from.close(), to.close()]))
  await from.read(Buffer.alloc(100), 0, 100)
  const result = await transfer(from, to, { length: 200 })
  t.is(result.bytes, 200)
  const rest = Buffer.alloc(50)
  await from.read(rest, 0, 50)
  t.deepEqual(rest, bytes.subarray(300, 350))
  await to.write('end')
  t.deepEqual(content(to.fd), Buffer.concat([bytes.subarray(100, 300), Buffer.from('end')]))
})

test('any object with an fd is an end', async (t) => {
  const to = sink(t)
  const result = await transfer({ fd: source(t, bytes) }, { fd: to })
  t.is(result.bytes, size)
  t.is(sha256(content(to)), sha256(bytes))
})

test('an empty file is copied, with nothing to copy', async (t) => {
  const to = sink(t)
  t.is((await transfer(source(t, 0), to)).bytes, 0)
  t.is(fstatSync(to).size, 0)
})

test('descriptors may be closed once the transfer has begun', async (t) => {
  const from = await open(makeFile(bytes).path)
  const path = pathFor('sink')
  const to = await open(path, 'w')
  const moving = transfer(from, to)
  // The engine duplicates them in the microtasks of this turn.
  await new Promise(setImmediate)
  await Promise.all([from.close(), to.close()])
  t.is((await moving).bytes, size)
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

test('many transfers at once each move their own bytes', async (t) => {
  const from = source(t, bytes)
  const sinks = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const to = sink(t)
      await transfer(from, to, { start: index * 1000, length: 100_000 })
      return to
    }),
  )
  for (const [index, to] of sinks.entries()) {
    t.is(sha256(content(to)), sha256(bytes.subarray(index * 1000, index * 1000 + 100_000)))
  }
  t.is(position(from), 0)
})

test('O_DIRECT reads by reading', async (t) => {
  const { constants } = await import('node:fs')
  let from: number
  try {
    from = openSync(makeFile(bytes).path, constants.O_RDONLY | constants.O_DIRECT)
  } catch {
    {
      t.pass('this file system has no O_DIRECT')
      return
    }
  }
  const to = sink(t, memory())
  const result = await transfer(from, to)
  t.is(result.bytes, size)
  t.is(sha256(contentAt(to, 0, size)), sha256(bytes))
})
