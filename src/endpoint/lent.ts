// What lending gives: a descriptor, and how to give it back.

import type { Socket } from 'node:net'
import type { Progress, Side } from '../errors.js'
import { descriptorOf } from '../node-internals.js'
import type { Bytes } from '../options.js'
import { gone } from './wait.js'

/**
 * An end that the engine may use. Until the engine has it, JavaScript may close it, and its number is then given to
 * whatever is opened next: so it is asked for its number when the engine starts, and throws where it is gone.
 */
interface Lent {
  readonly fd: number
}

/** One to be read. */
export interface LentSource extends Lent {
  /** Where to begin and how far to go. */
  start?: Bytes
  length?: number
  /** The socket that is read, to be kept for the engine meanwhile, and what Node had read of it already. */
  socket?: Socket
  head?: Buffer
  /** Gives the stream back, with bytes that were taken and not moved; false where it cannot be read any more. */
  giveBack?(residual?: Buffer): boolean
}

/** One to be written. */
export interface LentSink extends Lent {
  start?: Bytes
  /** The socket that is written, to be kept for the engine meanwhile. */
  socket?: Socket
  /** What the head of a response promises. */
  declared?: number
  /** Leaves the stream as if it had written these bytes itself. */
  count(bytes: number): void
  /** Gives the stream back, also after a failure; again does nothing. */
  release(): void
  /** Gives it back and ends it; resolves when it has ended. */
  end(): Promise<void>
}

/** Where Node had read nothing. One for all: a Buffer of no bytes takes some 170 of native memory. */
export const NO_HEAD = Buffer.alloc(0)

/**
 * Nothing moves after all: what Node had read of the source goes back into it where it lives on, and else, or where it
 * cannot, with the error.
 */
export function giveBackHead<E extends Partial<Progress>>(
  source: Pick<LentSource, 'head' | 'giveBack'>,
  error: E,
  livesOn: boolean,
): E {
  const { head } = source
  const isBack = source.giveBack?.(livesOn ? head : undefined) && livesOn
  return head?.length && !isBack ? Object.assign(error, { residual: head }) : error
}

/** The descriptor of a socket that is lent. */
export function lentDescriptor(socket: Socket, side: Side): number {
  const fd = socket.destroyed ? -1 : descriptorOf(socket)
  if (fd < 0) throw gone(socket, side)
  return fd
}

/** Why a stream has to be moved by Node. */
export interface Refused {
  refused: string
}
