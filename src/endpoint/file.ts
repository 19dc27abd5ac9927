// fs streams as ends of a transfer: only one that Node has not begun to read or write can be taken over whole.

import { once } from 'node:events'
import type { ReadStream, WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { Bytes } from '../options.js'
import type { LentSink } from './lend.js'

/** Why a stream has to be moved by Node. */
export interface Refused {
  refused: string
}

/** What the types of Node leave out. */
interface FileStream {
  fd: number | null
  start?: number
  end?: number
  pos?: number
}

/** Takes over the file that a stream was to read. The stream itself reads nothing any more. */
export async function lendReadStream(
  stream: ReadStream,
  signal: AbortSignal | undefined,
): Promise<{ fd: number; start?: Bytes; length?: number } | Refused> {
  if (stream.readableEncoding !== null) return { refused: 'ENCODING' }
  if (stream.readableFlowing !== null || stream.readableDidRead) return { refused: 'FLOWING' }
  const fd = await opened(stream, signal)
  const { start, end = Infinity } = stream as unknown as FileStream
  return {
    fd,
    ...(start === undefined ? {} : { start }),
    ...(end === Infinity ? {} : { length: end - (start ?? 0) + 1 }),
  }
}

/** Takes over the file that a stream was to write, once what was written to the stream is in the file. */
export async function lendWriteStream(
  stream: WriteStream,
  signal: AbortSignal | undefined,
): Promise<LentSink | Refused> {
  if (stream.writableCorked > 0) return { refused: 'CORKED' }
  const fd = await opened(stream, signal)
  if (stream.writableLength > 0) await written(stream)
  const state = stream as unknown as FileStream
  const end = async (): Promise<void> => {
    stream.end()
    await finished(stream)
  }
  const giveBack = (bytes: number): void => {
    if (state.pos !== undefined) state.pos += bytes
    stream.bytesWritten += bytes
  }
  return {
    fd,
    ...(state.pos === undefined ? {} : { start: state.pos }),
    giveBack,
    end,
    destroy: () => stream.destroy(),
  }
}

async function opened(stream: ReadStream | WriteStream, signal: AbortSignal | undefined): Promise<number> {
  const state = stream as unknown as FileStream
  if (stream.errored) throw stream.errored
  if (state.fd === null) await once(stream, 'open', signal ? { signal } : {})
  return state.fd ?? -1
}

function written(stream: WriteStream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write('', (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
