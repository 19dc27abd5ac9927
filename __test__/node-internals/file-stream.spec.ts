import test from 'ava'
import fs, { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { readingBy, readsDescriptor, writesDescriptor, type Read } from '#src/node-internals.js'
import { makeFile, pathFor } from '../helpers/files.js'

const IDLE = { fd: 0, autoClose: false }

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

test("a file stream's bytes go to its descriptor, unless something else is to write them", async (t) => {
  const handle = await open(pathFor('file'), 'w')
  const byHandle = (): WriteStream => handle.createWriteStream({ autoClose: false })
  t.true(writesDescriptor(createWriteStream('', IDLE)))
  t.true(writesDescriptor(byHandle()))
  for (const name of ['write', 'writev'] as const) {
    const own = (): void => undefined
    t.false(writesDescriptor(createWriteStream('', { ...IDLE, fs: { ...fs, [name]: own } })), name)
    t.false(writesDescriptor(createWriteStream('', { ...IDLE, fs: { [name]: own } as never })), name)
    Object.assign(handle, { [name]: () => Promise.resolve() })
    t.false(writesDescriptor(byHandle()), name)
    Reflect.deleteProperty(handle, name)
  }
  t.true(writesDescriptor(byHandle()))
  await handle.close()
})

test('who puts a function in place of fs.write is seen, whether he tells importers or not', (t) => {
  const { write } = fs
  t.teardown(() => {
    fs.write = write
    syncBuiltinESMExports()
  })
  fs.write = Object.assign(() => undefined, { __promisify__: write.__promisify__ }) as typeof write
  t.false(writesDescriptor(createWriteStream('', IDLE)))
  syncBuiltinESMExports()
  t.false(writesDescriptor(createWriteStream('', IDLE)))
})
