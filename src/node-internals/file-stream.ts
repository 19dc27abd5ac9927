// What Node keeps of a file stream: by what it reads or writes its descriptor.

import {
  createReadStream,
  createWriteStream,
  read,
  write,
  writev,
  type ReadStream,
  type WriteStream,
} from 'node:fs'
import { ownSymbol, symbolOf } from './symbols.js'

/** Nothing is read from its descriptor: nobody reads from the stream. */
const IDLE = { fd: 0, autoClose: false }

/** The same for all file streams. */
const kFs = symbolOf(createReadStream('', IDLE), 'kFs') ?? Symbol('of no stream')

/** As they are now: an import follows what an application puts in their place. */
const byNode = { read, write, writev }

interface PrivateFileStream {
  [kFs]: { read?: unknown; write?: unknown; writev?: unknown } | undefined
}

/** Whether the bytes of a stream come from its descriptor, by Node's own `fs.read` or FileHandle. */
export function readsDescriptor(stream: ReadStream): boolean {
  const handle = handleOf(stream)
  return handle === undefined ? readsByFs(stream) : !Object.hasOwn(handle, 'read')
}

/** Whether they come by Node's own `fs.read`. */
export function readsByFs(stream: ReadStream): boolean {
  return (stream as unknown as PrivateFileStream)[kFs]?.read === byNode.read
}

/** Whether the bytes of a stream go to its descriptor, by Node's own `fs.write` or FileHandle. */
export function writesDescriptor(stream: WriteStream): boolean {
  const handle = handleOf(stream)
  if (handle !== undefined) return !['write', 'writev'].some((name) => Object.hasOwn(handle, name))
  const fs = (stream as unknown as PrivateFileStream)[kFs]
  return fs?.write === byNode.write && fs.writev === byNode.writev
}

/** The FileHandle that a stream was made of. */
function handleOf(stream: ReadStream | WriteStream): object | undefined {
  const handle = ownSymbol(stream, 'kHandle')
  return typeof handle === 'object' && handle !== null ? handle : undefined
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
  const own = stream as unknown as PrivateFileStream
  const fs = own[kFs]
  own[kFs] = { read: means }
  try {
    readMore()
  } finally {
    own[kFs] = fs
  }
}

/** Whether this Node reads and writes so. */
export function fileStreamIsAsExpected(): boolean {
  const stream = createReadStream('', IDLE)
  const custom = createReadStream('', { ...IDLE, fs: { read: () => undefined } })
  const sink = createWriteStream('', IDLE)
  const asked: unknown[] = []
  const means: Read = (...args) => asked.push(...args)
  readingBy(stream, means, () => {
    stream._read(7)
  })
  const [fd, buffer, offset, length, position] = asked
  const isAsked =
    fd === 0 && Buffer.isBuffer(buffer) && offset === 0 && length === 7 && position === undefined
  return readsDescriptor(stream) && !readsDescriptor(custom) && isAsked && writesDescriptor(sink)
}
