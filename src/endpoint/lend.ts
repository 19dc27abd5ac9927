// Each kind of end, lent to the engine: a descriptor to move by, and what to do with the stream when it is over.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { finished } from 'node:stream/promises'
import { isRefusal, systemError, zcioError, type Side, type TransferError } from '../errors.js'
import { declaredLength, descriptorOf, pendingHead } from '../node-internals.js'
import type { Bytes } from '../options.js'
import type { SinkKind, SourceKind } from './classify.js'
import { lendReadStream, lendWriteStream } from './file.js'
import {
  giveBackHead,
  lentDescriptor,
  NO_HEAD,
  type LentSink,
  type LentSource,
  type Refused,
} from './lent.js'
import { lendSocketSource } from './receive.js'
import { refusedBody, refusedResponse, socketOf } from './response.js'
import { isLent, quiet, refusedSocket, release, reserve } from './socket.js'
import { closed, gone, ready } from './wait.js'

/** Borrows a source, to be read from `start` on if that is given. */
export async function lendSource(
  source: SourceKind,
  start: Bytes | undefined,
  signal: AbortSignal | undefined,
): Promise<LentSource | Refused> {
  if (source.kind === 'stream') return { refused: 'STREAM' }
  if (source.kind === 'file') return lendReadStream(source.stream, start, signal)
  if (source.kind === 'socket') {
    if (start !== undefined) throw systemError(os.errno.ESPIPE, 'lseek', { side: 'source' })
    return lendSocketSource(source.socket, signal)
  }
  return new LentDescriptor(source, 'source', start)
}

/**
 * Borrows a sink, once everything written to it before has left it. Should JavaScript end it meanwhile, that is kept
 * until it is released, and `onEnd` is told.
 */
export async function lendSink(
  sink: SinkKind,
  signal: AbortSignal | undefined,
  onEnd?: () => void,
): Promise<LentSink | Refused> {
  switch (sink.kind) {
    case 'descriptor':
      return new LentDescriptor(sink, 'sink')
    case 'file':
      if (isLent(sink.stream)) throw busy()
      return lendWriteStream(sink.stream, signal, onEnd)
    case 'socket':
      return lendSocket(sink.socket, signal, onEnd)
    case 'response':
      return lendResponse(sink.res, signal, onEnd)
    case 'stream':
      return { refused: 'STREAM' }
  }
}

/** What is no stream: it stays as it is. */
class LentDescriptor implements LentSource, LentSink {
  readonly start?: Bytes
  readonly #end: { readonly fd: number }
  readonly #side: Side

  constructor(end: { readonly fd: number }, side: Side, start?: Bytes) {
    this.#end = end
    this.#side = side
    if (start !== undefined) this.start = start
  }

  get fd(): number {
    const { fd } = this.#end
    if (fd < 0) throw closed(this.#side)
    return fd
  }

  count(): void {
    // Its position has moved with the bytes.
  }

  release(): void {
    // It has not been kept from anybody.
  }

  async end(): Promise<void> {
    // It is the caller's to close.
  }
}

async function lendSocket(
  socket: Socket,
  signal: AbortSignal | undefined,
  onEnd?: () => void,
): Promise<LentSink | Refused> {
  if (isLent(socket)) throw busy()
  if (socket.destroyed || !socket.writable) throw gone(socket, 'sink')
  const refused = refusedSocket(socket)
  if (refused !== undefined) return { refused }
  reserve(socket, onEnd)
  try {
    if (socket.connecting) await ready(socket, 'connect', 'sink', signal)
    await quiet(socket, signal)
    if (descriptorOf(socket) < 0) throw gone(socket, 'sink')
  } catch (error) {
    release(socket)
    throw error
  }
  return new SocketSink(socket)
}

/** A socket whose writing side is the engine's. */
class SocketSink implements LentSink {
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
  }

  get fd(): number {
    return lentDescriptor(this.socket, 'sink')
  }

  count(): void {
    // Its handle is asked.
  }

  release(): void {
    release(this.socket)
  }

  async end(): Promise<void> {
    const { socket } = this
    release(socket)
    if (!socket.writableEnded) socket.end()
    await finished(socket, { readable: false })
  }
}

/** A socket of which both halves are lent. */
export interface LentDuplex {
  readonly fd: number
  readonly socket: Socket
  /** What Node had read of it. */
  readonly head: Buffer
  /** Gives it back, with bytes that were taken and not moved; false where it cannot be read any more. */
  giveBack(residual?: Buffer): boolean
}

/**
 * Borrows both halves of a socket.
 *
 * @throws what was taken goes with the error, since the socket then goes as well, unless it is another transfer's
 */
export async function lendDuplex(
  socket: Socket,
  signal: AbortSignal | undefined,
): Promise<LentDuplex | Refused> {
  const source = await lendSocketSource(socket, signal)
  if ('refused' in source) return source
  try {
    const sink = await lendSocket(socket, signal)
    if (!('refused' in sink)) return new BothHalves(socket, source, sink)
    source.giveBack?.(source.head)
    return sink
  } catch (error) {
    throw giveBackHead(source, error as TransferError, isRefusal(error as TransferError))
  }
}

class BothHalves implements LentDuplex {
  readonly socket: Socket
  readonly #source: LentSource
  readonly #sink: LentSink

  constructor(socket: Socket, source: LentSource, sink: LentSink) {
    this.socket = socket
    this.#source = source
    this.#sink = sink
  }

  get fd(): number {
    return this.#source.fd
  }

  get head(): Buffer {
    return this.#source.head ?? NO_HEAD
  }

  giveBack(residual?: Buffer): boolean {
    this.#sink.release()
    return this.#source.giveBack?.(residual) ?? false
  }
}

/** The head is sent by Node; what it declares is what the body must have. */
async function lendResponse(
  res: ServerResponse,
  signal: AbortSignal | undefined,
  onEnd: (() => void) | undefined,
): Promise<LentSink | Refused> {
  const socket = await socketOf(res, signal)
  if (isLent(socket) || isLent(res)) throw busy()
  const refused =
    refusedResponse(res) ?? (res.headersSent || res.hasHeader('content-length') ? undefined : 'CHUNKED')
  if (refused !== undefined) return { refused }
  if (!res.headersSent || pendingHead(res) !== undefined) res.flushHeaders()
  const refusedByHead = refusedBody(res)
  if (refusedByHead !== undefined) return { refused: refusedByHead }
  reserve(res, onEnd)
  const end = (): Promise<void> => {
    release(res, () => {
      if (!res.destroyed) res.end()
    })
    return Promise.resolve()
  }
  try {
    await quiet(socket, signal)
    if (descriptorOf(socket) < 0) throw gone(socket, 'sink')
  } catch (error) {
    release(res)
    throw error
  }
  const declared = declaredLength(res) ?? 0
  const giveBack = (): void => {
    release(res)
  }
  return {
    get fd() {
      return lentDescriptor(socket, 'sink')
    },
    socket,
    declared,
    count: nothing,
    release: giveBack,
    end,
  }
}

/** Another transfer has the stream. */
export function busy(): Error {
  return zcioError('ERR_ZCIO_BUSY', 'another transfer is writing to this stream; await it first')
}

function nothing(): void {
  // Its socket's handle is asked.
}
