// One look at the open file of a stream, before its bytes may go past Node: what it is, how much of it is left to be
// read, and whether the next byte is in memory.

import type { ReadStream } from 'node:fs'
import { binding } from '../binding.js'

/** What Node keeps of a file stream, and its types leave out. */
export interface FileState {
  fd: number
  /** Where it reads, if it was told where to start; else it reads at the descriptor's position. */
  pos: number | undefined
  /** The last byte that it is to read. */
  end: number
  flags: unknown
  bytesRead: number
}

/** What a look has shown. */
export interface Look {
  isFile: boolean
  /** Where the stream goes on reading; undefined for the position of a descriptor that others may have moved. */
  at: number | undefined
  /** Bytes that the stream may still read: to the end of its range, or Infinity. */
  wanted: number
  /** Those of them that the file has; of an unknown position, at most so many. */
  left: number
  /** Whether the first of them is in memory. */
  isResident: boolean
}

/** As the native half fills it: five doubles, and from here on the byte that it reads to see whether it is there. */
const READ_FROM = 16 * 1024
const scratch = Buffer.allocUnsafeSlow(READ_FROM + 1)
const fields = new Float64Array(scratch.buffer, 0, 4)
const [SIZE, KIND, READ, REGULAR] = [0, 2, 3, 1]

/** Looks at the file of a stream that has been opened. */
export function look(stream: ReadStream): Look {
  const { fd, bytesRead } = stateOf(stream)
  const at = positionOf(stream)
  const from = at ?? bytesRead
  const wanted = wantedOf(stream)
  const errno = binding().lookAtFile(fd, from, from, scratch)
  const isFile = errno === 0 && fields[KIND] === REGULAR
  const size = isFile ? (fields[SIZE] ?? 0) : 0
  return { isFile, at, wanted, left: Math.min(wanted, size - from), isResident: isFile && fields[READ] === 1 }
}

/** How much a stream may still read, as Node reckons it: to the end of its range, or Infinity. */
export function wantedOf(stream: ReadStream): number {
  const { pos, end, bytesRead } = stateOf(stream)
  return end + 1 - (pos ?? bytesRead)
}

export function stateOf(stream: ReadStream): FileState {
  return stream as unknown as FileState
}

/** A descriptor that the stream has opened itself stands where its reads have left it. */
function positionOf(stream: ReadStream): number | undefined {
  const { pos, flags, bytesRead } = stateOf(stream)
  return pos ?? (flags === undefined ? undefined : bytesRead)
}
