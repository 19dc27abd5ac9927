// Borrowing a socket of Node's to read from: stop Node's own reading, take what it has read already, lend the
// descriptor, give it back.

import type { Socket } from 'node:net'
import { zcioError } from '../errors.js'
import {
  canBeReadFrom,
  countAfter,
  countWhile,
  descriptorOf,
  hasEnded,
  holdReading,
  isReading,
  startReading,
  stopReading,
  type Counted,
  type Past,
} from '../node-internals.js'
import { refusedBrand } from './brand.js'
import { refusedHere } from './here.js'
import { lentDescriptor, NO_HEAD, type LentSource, type Refused } from './lent.js'
import { gone, ready } from './wait.js'

/** Why a socket has to be read by Node itself, or undefined. */
export function refusedReading(socket: Socket): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if ('encrypted' in socket) return 'TLS'
  if (socket.readableEncoding !== null) return 'ENCODING'
  if (socket.readableObjectMode) return 'OBJECT_MODE'
  const otherwise = refusedBrand(socket)
  if (otherwise !== undefined) return otherwise
  if (hasEnded(socket)) return 'ENDED'
  if (!socket.connecting && descriptorOf(socket) < 0) return socket.destroyed ? undefined : 'NO_DESCRIPTOR'
  if (!socket.connecting && !canBeReadFrom(socket)) return 'HTTP_PARSER'
  return undefined
}

/** Sockets that are read from by the engine. */
const read = new WeakSet<Socket>()

/** Whether the engine reads from this socket. */
export function isBeingRead(socket: Socket): boolean {
  return read.has(socket)
}

/** Has the engine read, while Node waits for bytes and thinks that libuv does. Returns how to end that. */
export function takeOver(socket: Socket): () => void {
  read.add(socket)
  const letGo = holdReading(socket)
  return () => {
    read.delete(socket)
    letGo()
  }
}

/** What is read of a socket past Node, which has it counted, but for the first bytes: those Node has counted itself. */
export class ReadPast implements Counted {
  readonly #moved: Counted
  readonly #before: number
  readonly #past: Past | undefined

  /** `moved`: what counts the bytes, those first ones included. */
  constructor(socket: Socket, before: number, moved: Counted) {
    this.#moved = moved
    this.#before = before
    this.#past = countWhile(socket, 'bytesRead', this)
  }

  bytes(): number {
    return Math.max(0, this.#moved.bytes() - this.#before)
  }

  /** Fixes the number. */
  end({ bytes, residual }: { bytes: number; residual: Buffer | undefined }): void {
    countAfter(this.#past, Math.max(0, bytes + (residual?.length ?? 0) - this.#before))
  }
}

/** Throws where another transfer reads from the socket, or nobody can any more. */
export function checkReadable(socket: Socket): void {
  if (read.has(socket))
    throw zcioError('ERR_ZCIO_BUSY', 'another transfer is reading from this socket; await it first')
  if (socket.destroyed) throw gone(socket, 'source')
}

/** Borrows a socket to read from, and what Node has read of it. */
export async function lendSocketSource(
  socket: Socket,
  signal: AbortSignal | undefined,
): Promise<LentSource | Refused> {
  checkReadable(socket)
  const refused = refusedReading(socket)
  if (refused !== undefined) return { refused }
  read.add(socket)
  try {
    if (socket.connecting) await ready(socket, 'connect', 'source', signal)
    if (descriptorOf(socket) < 0) throw gone(socket, 'source')
  } catch (error) {
    read.delete(socket)
    throw error
  }
  return new LentSocket(socket)
}

/** A socket whose reading side is the engine's. One object: a proxy has thousands that are idle. */
class LentSocket implements LentSource {
  readonly socket: Socket
  readonly head: Buffer
  readonly #wasFlowing: boolean
  #isLent = true

  /** Quiets it. */
  constructor(socket: Socket) {
    this.socket = socket
    this.#wasFlowing = socket.readableFlowing === true
    if (this.#wasFlowing) socket.pause()
    const head = (socket.readableLength > 0 ? socket.read(socket.readableLength) : null) as Buffer | null
    this.head = head ?? NO_HEAD
    // Whoever resumes it must find it waiting for bytes; else, of one that nobody has read (`pauseOnConnect`), Node
    // would start libuv.
    if (!isReading(socket)) socket.read(0)
    // After what starts libuv again.
    stopReading(socket)
  }

  get fd(): number {
    return lentDescriptor(this.socket, 'source')
  }

  giveBack(residual?: Buffer): boolean {
    const { socket } = this
    if (!this.#isLent) return true
    this.#isLent = false
    read.delete(socket)
    if (socket.destroyed || !socket.readable) return residual === undefined
    if (residual !== undefined) socket.unshift(residual)
    startReading(socket)
    if (this.#wasFlowing) socket.resume()
    return true
  }
}
