// What lending gives: a descriptor, and how to give it back.

import type { Socket } from 'node:net'
import type { Progress } from '../errors.js'
import type { Bytes } from '../options.js'

/** An end that the engine may use. */
export interface LentSource {
  fd: number
  /** Where to begin and how far to go. */
  start?: Bytes
  length?: number
  /** The socket that is read, to be kept for the engine meanwhile, and what Node had read of it already. */
  socket?: Socket
  head?: Buffer
  /** Gives the stream back, with bytes that were taken and not moved; false where it cannot be read any more. */
  giveBack?(residual?: Buffer): boolean
}

export interface LentSink {
  fd: number
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

/** Why a stream has to be moved by Node. */
export interface Refused {
  refused: string
}
