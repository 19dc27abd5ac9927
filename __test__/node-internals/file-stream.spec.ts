import test from 'ava'
import fs, { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { readingBy, readsDescriptor, type Read } from '#src/node-internals.js'
import { makeFile } from '../helpers/files.js'

test("a file stream's bytes come from its descriptor, unless something else is to read them", async (t) => {
  const { path } = makeFile(10)
  const handle = await open(path)
  t.true(readsDescriptor(createReadStream(path)))
  t.true(readsDescriptor(handle.createReadStream({ autoClose: false })))
  const others = { open: fs.open, close: fs.close, read: (): void => undefined }
  t.false(readsDescriptor(createReadStream(path, { fs: others })))
  Object.assign(handle, { read: () => Promise.resolve() })
  t.false(readsDescriptor(handle.createReadStream({ autoClose: false })))
  await handle.close()
})

test('a file stream can be read by other means, once', (t) => {
  const stream = createReadStream('', { fd: 0, autoClose: false })
  const asked: number[] = []
  const means: Read = (...[, , , length]) => asked.push(length)
  readingBy(stream, means, () => {
    t.false(readsDescriptor(stream))
    stream._read(7)
  })
  t.true(readsDescriptor(stream))
  t.deepEqual(asked, [7])
})
