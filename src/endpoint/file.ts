// fs streams as ends of a transfer: only one that Node has not begun to read, or whose writes are all in the file,
// can be taken over whole.

import type { ReadStream, WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { Side } from '../errors.js'
import { isReading } from '../node-internals.js'
import type { Bytes } from '../options.js'
import { hasOwnFs, isWrapped, refusedBrand } from './brand.js'
import { refusedHere } from './here.js'
import type { LentSink, LentSource, Refused } from './lent.js'
import { replace } from './replace.js'
import { release, reserve } from './socket.js'
import { gone, ready, written } from './wait.js'

/** What the types of Node leave out. */
export interface FileStream {
  fd: number | null
  flags?: string | number
  start?: number
  end?: number
  pos?: number
}

/** Takes over the file that a stream was to read, from `start` if that is given. The stream itself reads nothing. */
export async function lendReadStream(
  stream: ReadStream,
  start: Bytes | undefined,
  signal: AbortSignal | undefined,
): Promise<LentSource | Refused> {
  const refused = refusedReadStream(stream)
  if (refused !== undefined) return { refused }
  await opened(stream, 'source', signal)
  if (isBegun(stream)) return { refused: 'FLOWING' }
  return {
    get fd() {
      return descriptorOf(stream, 'source')
    },
    ...rangeOf(stream, start),
  }
}

/** Why a stream that is read from a file has to be read by Node, or undefined. */
export function refusedReadStream(stream: ReadStream): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if (stream.readableEncoding !== null) return 'ENCODING'
  const otherwise = refusedBrand(stream)
  if (otherwise !== undefined) return otherwise
  return isBegun(stream) ? 'FLOWING' : undefined
}

/** Where a stream was to begin and how far to go, from `start` if that is given. */
export function rangeOf(stream: ReadStream, start: Bytes | undefined): Pick<LentSource, 'start' | 'length'> {
  const { start: first, end = Infinity } = stream as unknown as FileStream
  const from = start ?? first
  return {
    ...(from === undefined ? {} : { start: from }),
    ...(end === Infinity ? {} : { length: Math.max(0, end - Number(from ?? 0) + 1) }),
  }
}

/** Whether Node has read from it, or is about to. */
function isBegun(stream: ReadStream): boolean {
  return stream.readableFlowing !== null || stream.bytesRead > 0 || isReading(stream)
}

/** Takes over the file that a stream was to write, once what was written to the stream is in the file. */
export async function lendWriteStream(
  stream: WriteStream,
  signal: AbortSignal | undefined,
  onEnd?: () => void,
): Promise<LentSink | Refused> {
  if (stream.destroyed || !stream.writable) throw gone(stream, 'sink')
  const refused = refusedWriteStream(stream)
  if (refused !== undefined) return { refused }
  const free = keepEnds(stream, onEnd)
  try {
    await opened(stream, 'sink', signal)
    while (stream.writableLength > 0) await written(stream, signal)
    return lent(stream, free)
  } catch (error) {
    free()
    throw error
  }
}

/** Keeps its ends for later, also under the other name that they have of a file. */
function keepEnds(stream: WriteStream, onEnd: (() => void) | undefined): () => void {
  reserve(stream, onEnd)
  const restore = replace(stream, 'destroySoon', Reflect.get(stream, 'end'))
  return () => {
    restore()
    release(stream)
  }
}

/** Why a stream that is written to a file has to be written by Node, or undefined. */
export function refusedWriteStream(stream: WriteStream): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if (isWrapped(stream)) return 'WRAPPED'
  if (hasOwnFs(stream)) return 'FS'
  return stream.writableCorked > 0 ? 'CORKED' : undefined
}

/** What JavaScript writes meanwhile stays behind the bytes that the engine moves. */
function lent(stream: WriteStream, free: () => void): LentSink {
  const state = stream as unknown as FileStream
  let corked = true
  stream.cork()
  const giveBack = (): void => {
    if (corked) stream.uncork()
    corked = false
    free()
  }
  return {
    get fd() {
      return descriptorOf(stream, 'sink')
    },
    ...(state.pos === undefined ? {} : { start: state.pos }),
    count: (bytes) => {
      if (state.pos !== undefined) state.pos += bytes
      stream.bytesWritten += bytes
    },
    release: giveBack,
    end: async () => {
      giveBack()
      if (!stream.writableEnded) stream.end()
      await finished(stream)
    },
  }
}

async function opened(
  stream: ReadStream | WriteStream,
  side: Side,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { fd } = stream as unknown as FileStream
  if (fd === null && !stream.destroyed) await ready(stream, 'open', side, signal)
  // One that is destroyed while it opens has closed the file again.
  descriptorOf(stream, side)
}

function descriptorOf(stream: ReadStream | WriteStream, side: Side): number {
  const { fd } = stream as unknown as FileStream
  if (fd === null || stream.destroyed) throw gone(stream, side)
  return fd
}
