// What lending an end would give, told without touching it: nothing is opened for reading or writing, stopped, corked
// or waited for.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  type ReadStream,
  type WriteStream,
} from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { dirname } from 'node:path'
import { systemError, type Side } from '../errors.js'
import { declaredLength, descriptorOf } from '../node-internals.js'
import type { Bytes } from '../options.js'
import type { SinkKind, SourceKind } from './classify.js'
import { rangeOf, refusedReadStream, refusedWriteStream, type FileStream } from './file.js'
import { busy } from './lend.js'
import type { Refused } from './lent.js'
import { checkReadable, refusedReading } from './receive.js'
import { closed, isGone, refusedBody, refusedResponse } from './response.js'
import { isLent, refusedSocket } from './socket.js'
import { gone } from './wait.js'

/** An end as the engine would get it. */
export interface Foreseen {
  /** Its descriptor, or that of the path of a file that Node has yet to open; absent: a socket that has none yet. */
  descriptor?: number
  /** What such a file, or FIFO, will be. */
  unopened?: { size: number; append: boolean }
  /** Node will open it so that the engine cannot wait for it. */
  blocks?: boolean
  start?: Bytes
  length?: number
  /** To be called when the descriptor is not needed any more. */
  close?: () => void
}

/** Linux' O_PATH, which Node has no name for: a descriptor that can only be asked about. */
const O_PATH = 0o10000000

export function foreseeSource(source: SourceKind, start: Bytes | undefined): Foreseen | Refused {
  if (source.kind === 'stream') return { refused: 'STREAM' }
  if (source.kind === 'file') return foreseeReadStream(source.stream, start)
  if (source.kind === 'socket') return foreseeReading(source.socket)
  return { descriptor: source.fd, ...(start === undefined ? {} : { start }) }
}

export function foreseeSink(sink: SinkKind): Foreseen | Refused {
  switch (sink.kind) {
    case 'descriptor':
      return { descriptor: sink.fd }
    case 'file':
      return foreseeWriteStream(sink.stream)
    case 'socket':
      return foreseeSocket(sink.socket)
    case 'response':
      return foreseeResponse(sink.res)
    case 'stream':
      return { refused: 'STREAM' }
  }
}

function foreseeReadStream(stream: ReadStream, start: Bytes | undefined): Foreseen | Refused {
  const refused = refusedReadStream(stream)
  if (refused !== undefined) return { refused }
  if (stream.destroyed) throw gone(stream, 'source')
  const { fd } = stream as unknown as FileStream
  return { ...(fd === null ? foreseeFile(stream, 'source') : { descriptor: fd }), ...rangeOf(stream, start) }
}

function foreseeWriteStream(stream: WriteStream): Foreseen | Refused {
  if (isLent(stream)) throw busy()
  if (stream.destroyed || !stream.writable) throw gone(stream, 'sink')
  const refused = refusedWriteStream(stream)
  if (refused !== undefined) return { refused }
  const { fd, pos } = stream as unknown as FileStream
  const file = fd === null ? foreseeFile(stream, 'sink') : { descriptor: fd }
  return pos === undefined ? file : { ...file, start: pos }
}

/** A file that a stream will open: what it is can be asked by its path, or, if there is none, by its directory's. */
function foreseeFile(stream: ReadStream | WriteStream, side: Side): Foreseen {
  const { flags = 0 } = stream as unknown as FileStream
  const [descriptor, exists] = openPath(String(stream.path), flags, side)
  const close = (): void => {
    closeSync(descriptor)
  }
  const stat = fstatSync(descriptor)
  if (exists && stat.isDirectory()) {
    close()
    throw systemError(os.errno.EISDIR, side === 'source' ? 'read' : 'open', { side })
  }
  if (exists && stat.isFIFO()) return { descriptor, unopened: { size: 0, append: false }, close }
  if (exists && !stat.isFile()) return { descriptor, blocks: true, close }
  const size = exists && !has(flags, 'w', constants.O_TRUNC) ? stat.size : 0
  return { descriptor, unopened: { size, append: has(flags, 'a', constants.O_APPEND) }, close }
}

function openPath(path: string, flags: string | number, side: Side): [descriptor: number, exists: boolean] {
  const creates = has(flags, 'w', constants.O_CREAT) || has(flags, 'a', constants.O_CREAT)
  try {
    return existsSync(path) || !creates
      ? [openSync(path, O_PATH), true]
      : [openSync(dirname(path), O_PATH), false]
  } catch (error) {
    throw Object.assign(error as Error, { bytes: 0, side })
  }
}

function has(flags: string | number, letter: string, bit: number): boolean {
  return typeof flags === 'string' ? flags.includes(letter) : (flags & bit) !== 0
}

function foreseeReading(socket: Socket): Foreseen | Refused {
  checkReadable(socket)
  const refused = refusedReading(socket)
  return refused === undefined ? descriptorIn(socket) : { refused }
}

function foreseeSocket(socket: Socket): Foreseen | Refused {
  if (isLent(socket)) throw busy()
  if (socket.destroyed || !socket.writable) throw gone(socket, 'sink')
  const refused = refusedSocket(socket)
  return refused === undefined ? descriptorIn(socket) : { refused }
}

function descriptorIn(socket: Socket): Foreseen {
  const descriptor = descriptorOf(socket)
  return descriptor < 0 ? {} : { descriptor }
}

function foreseeResponse(res: ServerResponse): Foreseen | Refused {
  if (isGone(res)) throw closed(0)
  // One to a pipelined request has no socket before its turn, and whoever has it now is not in its way.
  if (isLent(res) || (res.socket !== null && isLent(res.socket))) throw busy()
  const refused = refusedResponse(res) ?? refusedSocket(res.req.socket) ?? refusedLength(res)
  if (refused !== undefined) return { refused }
  return { length: (res.headersSent ? declaredLength(res) : Number(res.getHeader('content-length'))) ?? 0 }
}

function refusedLength(res: ServerResponse): string | undefined {
  if (res.headersSent) return refusedBody(res)
  return res.hasHeader('content-length') ? undefined : 'CHUNKED'
}
