// Borrowing a socket of Node's to read from: stop Node's own reading, take what it has read already, lend the
// descriptor, give it back.

import type { Socket } from 'node:net'
import { zcioError } from '../errors.js'
import {
  canBeReadFrom,
  countAlso,
  descriptorOf,
  hasEnded,
  holdReading,
  startReading,
  stopReading,
} from '../node-internals.js'
import { refusedHere } from './here.js'
import { NO_HEAD, type LentSource, type Refused } from './lent.js'
import { gone, ready } from './wait.js'

/** Why a socket has to be read by Node itself, or undefined. */
export function refusedReading(socket: Socket): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if ('encrypted' in socket) return 'TLS'
  if (socket.readableEncoding !== null) return 'ENCODING'
  if (socket.readableObjectMode) return 'OBJECT_MODE'
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

/**
 * Has the socket count what is read past Node, but for the first `before` bytes, which Node has counted itself. Returns
 * how to fix the number when it is over.
 */
export function countReadPast(
  socket: Socket,
  before: number,
  moved: () => number,
): (outcome: { bytes: number; residual: Buffer | undefined }) => void {
  const past = (bytes: number): number => Math.max(0, bytes - before)
  const fix = countAlso(socket, 'bytesRead', () => past(moved()))
  return ({ bytes, residual }) => {
    fix(past(bytes + (residual?.length ?? 0)))
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
  const { head, resume } = take(socket)
  let lent = true
  const giveBack = (residual?: Buffer): boolean => {
    if (!lent) return true
    lent = false
    read.delete(socket)
    return resume(residual)
  }
  return { fd: descriptorOf(socket), socket, head, giveBack }
}

/** Quiets the socket's reading side. */
function take(socket: Socket): { head: Buffer; resume: (residual?: Buffer) => boolean } {
  const wasFlowing = socket.readableFlowing === true
  if (wasFlowing) socket.pause()
  const head = (socket.readableLength > 0 ? socket.read(socket.readableLength) : null) as Buffer | null
  // After the read, which starts libuv again.
  stopReading(socket)
  return {
    head: head ?? NO_HEAD,
    resume: (residual) => {
      if (socket.destroyed || !socket.readable) return residual === undefined
      if (residual !== undefined) socket.unshift(residual)
      startReading(socket)
      if (wasFlowing) socket.resume()
      return true
    },
  }
}
