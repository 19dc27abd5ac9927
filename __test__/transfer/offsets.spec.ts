// Where bytes are taken from and put: offsets, lengths, positions, and how far they reach.

import test from 'ava'
import { fstatSync, readSync, statfsSync, writeSync } from 'node:fs'
import { transfer } from 'zcio'
import { bare, received, sockets } from '../helpers/sockets.js'
import { content, contentAt, opened, position, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, memory, pattern, sha256 } from '../helpers/files.js'

const GIB = 2 ** 30
/** statfs(2); its files may be as long as an offset goes. */
const TMPFS = 0x01021994
const size = 200_000
const bytes = pattern(size)

/** python/cpython#150107: a library that took 0 for «none» read from the position. */
test('offset 0 is an offset: the position neither counts nor moves', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  readSync(from, Buffer.alloc(1000))
  writeSync(to, 'xxxxx')
  for (const zero of [0, 0n, -0]) {
    await transfer(from, to, { start: zero, sinkStart: zero })
    t.is(sha256(content(to)), sha256(bytes))
  }
  t.is(position(from), 1000)
  t.is(position(to), 5)
})

test('without offsets both positions count, and move by what was moved', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  readSync(from, Buffer.alloc(1000))
  writeSync(to, 'xxxxx')
  await transfer(from, to, { length: 150_000 })
  t.is(position(from), 151_000)
  t.is(position(to), 150_005)
  await transfer(from, to)
  t.is(sha256(content(to)), sha256(Buffer.concat([Buffer.from('xxxxx'), bytes.subarray(1000)])))
})

/** libuv/libuv#3056: the source's offset acted on the sink. netty/netty#3812, netty/netty#9369: it was ignored. */
test('each offset acts on its own end', async (t) => {
  const to = sink(t)
  await transfer(source(t, bytes), to, { start: 100, sinkStart: 7, length: 50n })
  t.deepEqual(content(to), Buffer.concat([Buffer.alloc(7), bytes.subarray(100, 150)]))
})

test('a length of 0 moves nothing', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  for (const length of [0, 0n]) {
    const result = await transfer(from, to, { length })
    t.is(result.bytes, 0)
  }
  t.is(fstatSync(to).size, 0)
  t.is(position(from), 0)
})

test('past the end there is nothing', async (t) => {
  const [near, far] = await sockets(t)
  const [from, to] = [source(t, bytes), sink(t)]
  for (const start of [size, size + 1, 2 ** 40, 2 ** 53 - 1, 2n ** 63n - 1n]) {
    t.is((await transfer(from, to, { start })).bytes, 0, `from ${start}`)
    t.is((await transfer(from, near, { start, end: false })).bytes, 0, `from ${start}`)
  }
  near.end('nothing before this')
  t.is(String(await received(far)), 'nothing before this')
  t.is(fstatSync(to).size, 0)
})

test('a length beyond the end moves what there is', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  for (const length of [size + 1, 2 ** 53 - 1, 2n ** 63n - 1n]) {
    const result = await transfer(from, to, { start: 10, sinkStart: 0, length })
    t.is(result.bytes, size - 10)
  }
  t.is(sha256(content(to)), sha256(bytes.subarray(10)))
})

/** netty/netty#3760: lengths of 32 bits. */
test('offsets reach beyond 4 GiB, on both ends and across the border', async (t) => {
  const start = 4 * GIB - 1000
  const [from, to] = [opened(t, makeFile(0).path, 'r+'), sink(t)]
  writeSync(from, bytes, 0, size, start)
  const result = await transfer(from, to, { start, sinkStart: BigInt(9 * GIB) })
  t.is(result.bytes, size)
  t.is(sha256(contentAt(to, 9 * GIB, size)), sha256(bytes))
  t.is(fstatSync(to).size, 9 * GIB + size)

  const [near, far] = await sockets(t)
  const arrived = received(far)
  t.is((await transfer(from, near, { start: BigInt(start) })).bytes, size)
  t.is(sha256(await arrived), sha256(bytes))
})

test('they reach as far as the file system does', async (t) => {
  if (statfsSync(memory()).type !== TMPFS) {
    t.pass('there is no file system in memory here')
    return
  }
  const to = sink(t, memory())
  const far = 2n ** 53n + 1n
  const { bytes: moved } = await transfer(source(t, bytes, memory()), to, { sinkStart: far })
  t.is(moved, size)
  t.is(sha256(contentAt(to, far, size)), sha256(bytes))
})

test('a sink that would become larger than a file can be says so', async (t) => {
  const error = await failure(transfer(source(t, bytes), sink(t), { sinkStart: 2n ** 63n - 1n }))
  t.true(['EFBIG', 'EINVAL', 'EOVERFLOW'].includes(error.code ?? ''), error.message)
  t.is(error.bytes, 0)
})

for (const family of ['tcp', 'unix'] as const) {
  test(`a range of a file goes to a ${family} socket, given by its bare descriptor`, async (t) => {
    const [near, far] = await sockets(t, family)
    const from = source(t, bytes)
    const result = await transfer(from, bare(near), { start: 100, length: 150_000 })
    t.deepEqual(result, { bytes: 150_000, mechanism: 'sendfile', fallbacks: [] })
    near.end('more')
    t.is(
      sha256(await received(far)),
      sha256(Buffer.concat([bytes.subarray(100, 150_100), Buffer.from('more')])),
    )
    t.is(position(from), 0)
  })
}

test('pipes and sockets have no offsets', async (t) => {
  const [near] = await sockets(t)
  for (const to of [near, bare(near)]) {
    const error = await failure(transfer(source(t, bytes), to, { sinkStart: 0, end: false }))
    t.is(error.code, 'ESPIPE')
    t.is(error.side, 'sink')
    t.is(error.bytes, 0)
  }
})
