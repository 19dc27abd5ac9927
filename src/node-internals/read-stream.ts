// What Node keeps of a file stream: by what it reads its descriptor.

import { createReadStream, read, type ReadStream } from 'node:fs'
import { ownSymbol, symbolOf } from './symbols.js'

/** Nothing is read from its descriptor: nobody reads from the stream. */
const IDLE = { fd: 0, autoClose: false }

/** The same for all file streams. */
const kFs = symbolOf(createReadStream('', IDLE), 'kFs') ?? Symbol('of no stream')

interface PrivateReadStream {
  [kFs]: { read: unknown } | undefined
}

/** Whether the bytes of a stream come from its descriptor, by Node's own `fs.read` or FileHandle. */
export function readsDescriptor(stream: ReadStream): boolean {
  const handle = ownSymbol(stream, 'kHandle')
  if (typeof handle === 'object' && handle !== null) return !Object.hasOwn(handle, 'read')
  return readsByFs(stream)
}

/** Whether they come by Node's own `fs.read`. */
export function readsByFs(stream: ReadStream): boolean {
  return (stream as unknown as PrivateReadStream)[kFs]?.read === read
}

/** `fs.read`, as a file stream calls it: at `position`, or where that is undefined at the descriptor's own. */
export type Read = (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | undefined,
  callback: (error: Error | null, bytes: number, buffer: Buffer) => void,
) => void

/** Has Node's `_read` of a stream, which `readMore` calls, read by other means than `fs.read`. */
export function readingBy(stream: ReadStream, means: Read, readMore: () => void): void {
  const own = stream as unknown as PrivateReadStream
  const fs = own[kFs]
  own[kFs] = { read: means }
  try {
    readMore()
  } finally {
    own[kFs] = fs
  }
}

/** Whether this Node reads so. */
export function readStreamIsAsExpected(): boolean {
  const stream = createReadStream('', IDLE)
  const custom = createReadStream('', { ...IDLE, fs: { read: () => undefined } })
  const asked: unknown[] = []
  const means: Read = (...args) => asked.push(...args)
  readingBy(stream, means, () => {
    stream._read(7)
  })
  const [fd, buffer, offset, length, position] = asked
  const isAsked =
    fd === 0 && Buffer.isBuffer(buffer) && offset === 0 && length === 7 && position === undefined
  return readsDescriptor(stream) && !readsDescriptor(custom) && isAsked
}
