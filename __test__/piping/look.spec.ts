import test from 'ava'
import { once } from 'node:events'
import { createReadStream, type ReadStream } from 'node:fs'
import { look, wantedOf } from '#src/piping/look.js'
import { opened } from '../helpers/descriptors.js'
import { evict, makeFile, memory } from '../helpers/files.js'
import { until } from '../helpers/wait.js'

async function open(path: string, options: object = {}): Promise<ReadStream> {
  const stream = createReadStream(path, options)
  await once(stream, 'ready')
  return stream
}

test('a look tells what is left of a file, and of a wanted range', async (t) => {
  const { path } = makeFile(100_000, 'file', memory())
  t.like(look(await open(path)), { isFile: true, at: 0, wanted: Infinity, left: 100_000 })
  t.like(look(await open(path, { start: 99_000 })), { at: 99_000, wanted: Infinity, left: 1000 })
  t.like(look(await open(path, { start: 5, end: 14 })), { at: 5, wanted: 10, left: 10, isResident: true })
  t.like(look(await open(path, { start: 99_000, end: 200_000 })), { wanted: 101_001, left: 1000 })
  t.like(look(await open(path, { start: 200_000 })), { left: -100_000, isResident: false })
})

test('a look tells whether the next byte is in memory', async (t) => {
  const { path } = makeFile(1 << 20)
  const stream = await open(path, { start: 1000 })
  t.true(look(stream).isResident)
  await until('it to be evicted', () => {
    evict(path)
    return !look(stream).isResident
  })
})

test('nobody knows where a descriptor stands that the stream has not opened', (t) => {
  const { path } = makeFile(1000)
  const stream = createReadStream('', { fd: opened(t, path), autoClose: false, end: 99 })
  t.like(look(stream), { at: undefined, wanted: 100, left: 100 })
})

test('what is wanted shrinks as the stream reads', async (t) => {
  const { path } = makeFile(100_000)
  for (const options of [{ end: 69_999 }, { start: 30_000, end: 99_999 }]) {
    const stream = await open(path, { ...options, highWaterMark: 10_000 })
    t.is(wantedOf(stream), 70_000)
    let bytes = 0
    for await (const chunk of stream) bytes += (chunk as Buffer).length
    t.is(bytes, 70_000)
    t.is(wantedOf(stream), 0)
  }
})

test('a directory is not a file', async (t) => {
  t.like(look(await open('/')), { isFile: false, isResident: false })
})
