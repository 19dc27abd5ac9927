// Each kind of end, lent to the engine: a descriptor to move by, and what to do with the stream when it is over.

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { zcioError } from '../errors.js'
import { declaredLength, descriptorOf } from '../node-internals.js'
import type { Bytes } from '../options.js'
import type { SinkKind, SourceKind } from './classify.js'
import { lendReadStream, lendWriteStream, type Refused } from './file.js'
import { closed, guardEnd, refusedBody, refusedResponse, socketOf } from './response.js'
import { isLent, isQuiet, quiet, refusedSocket } from './socket.js'

/** An end that the engine may use. */
export interface LentSource {
  fd: number
  /** Where the stream was to begin and how far to go. */
  start?: Bytes
  length?: number
  /** Destroys the stream. */
  end(): void
}

export interface LentSink {
  fd: number
  start?: Bytes
  /** The socket that is written, to be kept for the engine meanwhile. */
  socket?: Socket
  /** What the head of a response promises. */
  declared?: number
  /** Leaves the stream as if it had written these bytes itself. */
  giveBack(bytes: number): void
  /** Ends the stream; resolves when it has done so. */
  end(): Promise<void>
  /** Destroys the stream. */
  destroy(): void
}

export async function lendSource(
  source: SourceKind,
  signal: AbortSignal | undefined,
): Promise<LentSource | Refused> {
  if (source.kind === 'stream') return { refused: 'STREAM' }
  if (source.kind === 'descriptor') return { fd: source.fd, end: nothing }
  const { stream } = source
  const lent = await lendReadStream(stream, signal)
  return 'refused' in lent ? lent : { ...lent, end: () => stream.destroy() }
}

export async function lendSink(sink: SinkKind, signal: AbortSignal | undefined): Promise<LentSink | Refused> {
  switch (sink.kind) {
    case 'descriptor':
      return { fd: sink.fd, giveBack: nothing, end: () => Promise.resolve(), destroy: nothing }
    case 'file':
      return lendWriteStream(sink.stream, signal)
    case 'socket':
      return lendSocket(sink.socket, signal)
    case 'response':
      return lendResponse(sink.res, signal)
    case 'stream':
      return { refused: 'STREAM' }
  }
}

async function lendSocket(socket: Socket, signal: AbortSignal | undefined): Promise<LentSink | Refused> {
  if (isLent(socket)) throw busy()
  if (socket.destroyed || !socket.writable) throw closed(0)
  const refused = refusedSocket(socket)
  if (refused !== undefined) return { refused }
  if (socket.connecting) await once(socket, 'connect', signal ? { signal } : {})
  while (!isQuiet(socket)) await quiet(socket)
  return { ...lentSocket(socket), end: () => endStream(socket) }
}

/** The head is sent by Node; what it declares is what the body must have. */
async function lendResponse(
  res: ServerResponse,
  signal: AbortSignal | undefined,
): Promise<LentSink | Refused> {
  const socket = await socketOf(res, signal)
  if (isLent(socket)) throw busy()
  const refused =
    refusedResponse(res) ?? (res.headersSent || res.hasHeader('content-length') ? undefined : 'CHUNKED')
  if (refused !== undefined) return { refused }
  res.flushHeaders()
  const refusedByHead = refusedBody(res)
  if (refusedByHead !== undefined) return { refused: refusedByHead }
  while (!isQuiet(socket)) await quiet(socket)
  const endResponse = guardEnd(res)
  const end = (): Promise<void> => {
    endResponse()
    return Promise.resolve()
  }
  return { ...lentSocket(socket), declared: declaredLength(res) ?? 0, end }
}

function lentSocket(socket: Socket): Omit<LentSink, 'end'> {
  return { fd: descriptorOf(socket), socket, giveBack: nothing, destroy: () => socket.destroy() }
}

async function endStream(stream: Socket): Promise<void> {
  stream.end()
  await finished(stream, { readable: false })
}

function busy(): Error {
  return zcioError('ERR_ZCIO_BUSY', 'another transfer is writing to this socket; await it first')
}

function nothing(): void {
  // The caller's descriptor stays as it is.
}
