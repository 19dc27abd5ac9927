// Borrowing a socket of Node's to write on: quiet it, wait for what is queued, lend the descriptor, give it back.
//
// While it is lent the socket is corked, so that what JavaScript writes stays behind the bytes that the engine
// moves. Destroying it ends the transfer and tells the peer at once, although the engine holds a duplicate.

import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { descriptorOf } from '../node-internals.js'
import { isWrapped } from './brand.js'
import { isGuarded } from './guard.js'
import { refusedHere } from './here.js'
import { written } from './wait.js'

/** Why a socket has to be written by Node itself, or undefined. */
export function refusedSocket(socket: Socket): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if ('encrypted' in socket) return 'TLS'
  if (isWrapped(socket)) return 'WRAPPED'
  if (socket.writableCorked > 0) return 'CORKED'
  if (!socket.connecting && descriptorOf(socket) < 0) return socket.destroyed ? undefined : 'NO_DESCRIPTOR'
  return undefined
}

/** Who writes on a socket that is lent. */
export interface Borrower {
  /** JavaScript has destroyed it. */
  hangUp(side: 'sink'): void
}

/** Streams that are lent, whose next transfer has to wait its turn, and to whom, where that is to be told of its end. */
const lent = new WeakMap<Writable, Borrower | undefined>()

/** Whether a transfer is writing on this stream, or about to. */
export function isLent(stream: Writable): boolean {
  return lent.has(stream) || isGuarded(stream)
}

/** Whether nothing is queued on the socket, in Node or in libuv. */
export function isQuiet(socket: Socket): boolean {
  return !socket.connecting && socket.writableLength === 0
}

/** Resolves when everything written to the socket so far has been accepted by the kernel. */
export async function quiet(socket: Socket, signal?: AbortSignal): Promise<void> {
  while (!isQuiet(socket)) await written(socket, signal)
}

/** Keeps the socket for the engine; `onClose` is called should JavaScript destroy it. Returns how to give it back. */
export function lend(socket: Socket, onClose: () => void): () => void {
  lendTo(socket, { hangUp: onClose })
  return () => {
    takeBack(socket)
  }
}

/** The same without a function made for it, which a slow reader would keep. {@link takeBack} gives it back. */
export function lendTo(socket: Socket, borrower: Borrower): void {
  lent.set(socket, borrower)
  socket.cork()
  socket.on('close', tellBorrower)
}

/** Gives back what {@link lendTo} has lent. */
export function takeBack(socket: Socket): void {
  socket.off('close', tellBorrower)
  lent.delete(socket)
  socket.uncork()
}

function tellBorrower(this: Socket): void {
  lent.get(this)?.hangUp('sink')
}

/** Marks a stream as lent, until {@link vacate}. */
export function occupy(stream: Writable): void {
  lent.set(stream, undefined)
}

/** Ends {@link occupy}. */
export function vacate(stream: Writable): void {
  lent.delete(stream)
}

/**
 * Keeps a stream for one transfer, from before it waits until after it has ended, and calls of its `end` for later: made
 * during a lease, they would break the cork and cut the bytes. `onEnd` is called when JavaScript wants it ended.
 */
export function reserve(stream: Writable, onEnd?: () => void): void {
  const own: Ending = stream
  lent.set(stream, undefined)
  if (onEnd !== undefined) onEnds.set(stream, onEnd)
  // The same function for all: a closure of its own each idle bridge would keep.
  own.end = keepEnd
}

/** Ends {@link reserve}, and lets what was kept happen, after `first`. */
export function release(stream: Writable, first?: () => void): void {
  const own: Ending = stream
  lent.delete(stream)
  onEnds.delete(stream)
  delete own.end
  first?.()
  const calls = kept.get(stream) ?? []
  kept.delete(stream)
  for (const args of calls) stream.end(...args)
}

interface Ending {
  end?: unknown
}

/** Calls of `end` that were kept, where there were any, and who is told of them. */
const kept = new WeakMap<Writable, [][]>()
const onEnds = new WeakMap<Writable, () => void>()

function keepEnd(this: Writable, ...args: []): Writable {
  const calls = kept.get(this)
  if (calls === undefined) kept.set(this, [args])
  else calls.push(args)
  onEnds.get(this)?.()
  return this
}
