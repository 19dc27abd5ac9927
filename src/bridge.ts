// Two sockets joined in both directions, past JavaScript: quiets both, hands over what Node has read of them, and
// ends them when it is over.

import type { Socket } from 'node:net'
import { isTraced, traced } from './diagnostics.js'
import type { Outcome } from './ending.js'
import { Joined } from './engine.js'
import { lendDuplex, type LentDuplex } from './endpoint/lend.js'
import type { Refused } from './endpoint/lent.js'
import { ReadPast } from './endpoint/receive.js'
import { lendTo, takeBack } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import { abortError, invalidValue, isRefusal, type Progress, type TransferError } from './errors.js'
import { bridgeByStream, type BridgeResult } from './bridge-by-stream.js'
import type { TransferResult } from './move.js'
import { countAfter, countWhile, markOver, type Past } from './node-internals.js'
import {
  checkBuffer,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkSignal,
  checkSocket,
} from './options.js'
import { watch, type Listeners, type ProgressReport } from './pulse.js'

/** Options of {@link bridge}. */
export interface BridgeOptions {
  /** Ends the bridge, which then rejects with an AbortError. */
  signal?: AbortSignal
  /**
   * Ends the bridge with ETIMEDOUT when nothing has moved in either direction for so long, in ms. Default: 0, never.
   * The sockets' own timeouts go on measuring idleness, too.
   */
  idleTimeout?: number
  /** What was read from `a` before and goes to `b` first: what an 'upgrade' or 'connect' event hands over. */
  head?: Buffer
  /** Called at most every 50 ms, with the bytes of both directions together. */
  onProgress?: (report: ProgressReport) => void
}

/** What a bridge that failed adds to its error. */
export interface BridgeProgress {
  /** From a to b, from b to a: bytes that were accepted, and bytes that were taken and were not. */
  aToB: Progress
  bToA: Progress
}

const OPTIONS = ['signal', 'idleTimeout', 'head', 'onProgress']

/**
 * Joins two connected sockets in both directions until both have ended, by splice(2) through pipes that are held only
 * while bytes are in them. What one side ends is ended on the other, while the other direction goes on.
 *
 * What Node has read already goes first, and what is written already is sent first; the sockets may be flowing or
 * paused. They are the bridge's from then on, and both are destroyed when it is over. Call it as soon as there are two
 * sockets: `b` may still be connecting, and what Node has not read of `a` by then it needs not read at all.
 *
 * @param a e.g. the socket of a client, as 'connection', 'upgrade' or 'connect' hand it over
 * @param b e.g. the socket of the server behind
 * @returns when both directions have ended; TLS sockets are piped by Node's streams, and `fallbacks` says so
 * @throws the first error of either socket, an AbortError or ETIMEDOUT, each with `aToB` and `bToA`; TypeError and
 *   RangeError, and ERR_ZCIO_BUSY, before anything moves
 */
export function bridge(a: Socket, b: Socket, options?: BridgeOptions): Promise<BridgeResult> {
  // Not async: thousands wait, and each promise of a promise takes memory.
  if (!isTraced()) return bridgeSockets(a, b, options)
  return traced({ operation: 'bridge', source: a, sink: b, options }, () => bridgeSockets(a, b, options))
}

async function bridgeSockets(
  a: Socket,
  b: Socket,
  options: BridgeOptions | undefined,
): Promise<BridgeResult> {
  const wanted = check(a, b, options)
  for (const socket of [a, b]) socket.on('error', ignore)
  try {
    const lent = await borrow(a, b, wanted)
    return await ('refused' in lent ? bridgeByStream(a, b, { ...wanted, ...lent }) : run(lent, wanted))
  } catch (error) {
    if (!isRefusal(error as TransferError)) for (const socket of [a, b]) socket.destroy()
    throw error
  } finally {
    for (const socket of [a, b]) if (!socket.destroyed) socket.off('error', ignore)
  }
}

type Wanted = ReturnType<typeof check>

function check(a: Socket, b: Socket, given: BridgeOptions | undefined) {
  checkSocket('a', a)
  checkSocket('b', b)
  if (a === b) throw invalidValue('b', b, 'must be another socket than "a"')
  const options = checkOptions(given, OPTIONS)
  return {
    signal: checkSignal('options.signal', options.signal),
    idleTimeout: checkMilliseconds('options.idleTimeout', options.idleTimeout) ?? 0,
    head: checkBuffer('options.head', options.head),
    onProgress: checkFunction('options.onProgress', options.onProgress),
  }
}

type Lent = readonly [near: LentDuplex, far: LentDuplex]

async function borrow(a: Socket, b: Socket, { signal, head }: Wanted): Promise<Lent | Refused> {
  if (signal?.aborted) throw unmoved(abortError(signal, { bytes: 0 }), [head])
  const near = await lendDuplex(a, signal).catch((error: unknown) => {
    throw unmoved(error as TransferError, [head, (error as TransferError).residual])
  })
  if ('refused' in near) return near
  const far = await lendDuplex(b, signal).catch((reason: unknown) => {
    const error = reason as TransferError
    if (!isRefusal(error)) throw unmoved(error, [head, near.head], error.residual)
    near.giveBack(near.head)
    throw error
  })
  if ('refused' in far) {
    near.giveBack(near.head)
    return far
  }
  return [near, far]
}

/** What a bridge that ends before it begins has taken is the error's, since its sockets go. */
function unmoved<E extends Error & Progress>(error: E, fromA: (Buffer | undefined)[], fromB?: Buffer): E {
  const taken = Buffer.concat(fromA.filter((bytes) => bytes !== undefined))
  const progress: BridgeProgress = {
    aToB: progressOf({ bytes: 0, residual: taken.length > 0 ? taken : undefined }),
    bToA: progressOf({ bytes: 0, residual: fromB?.length ? fromB : undefined }),
  }
  delete error.residual
  return Object.assign(error, progress)
}

function join([a, b]: Lent, { signal, head, idleTimeout }: Wanted): Joined {
  const aHead = head ? Buffer.concat([head, a.head]) : a.head
  try {
    // It may have been aborted while they were lent: then nobody would hear of it any more.
    if (signal?.aborted) throw abortError(signal, { bytes: 0 })
    return new Joined({ a: a.fd, b: b.fd, aHead, bHead: b.head, idleTimeout })
  } catch (error) {
    throw unmoved(error as TransferError, [aHead], b.head)
  }
}

async function run(lent: Lent, wanted: Wanted): Promise<BridgeResult> {
  const [a, b] = lent
  const joined = join(lent, wanted)
  const hold = new Hold(a, b, joined, wanted)
  const [there, back] = await joined.ended
  hold.letGo(there, back)
  if (there.declined !== undefined) {
    for (const lent of [a, b]) lent.giveBack(lent.head)
    return bridgeByStream(a.socket, b.socket, { ...wanted, refused: there.declined })
  }
  const failure = failureOf(there, back)
  if (failure) throw explain(failure, there, back, a.socket, b.socket, wanted)
  await Promise.all([a, b].map(end))
  wanted.onProgress?.({ bytes: there.bytes + back.bytes })
  return { aToB: resultOf(there), bToA: resultOf(back) }
}

/** Both sockets, kept for the engine while it runs: they tell the truth, and if JavaScript destroys one it is over. */
class Hold {
  readonly #a: Socket
  readonly #b: Socket
  readonly #readOfA: ReadPast
  readonly #readOfB: ReadPast
  readonly #writtenToA: Past | undefined
  readonly #writtenToB: Past | undefined
  readonly #unheed: (() => void) | undefined
  readonly #unwatch: () => void

  constructor(a: LentDuplex, b: LentDuplex, joined: Joined, { signal, head, onProgress }: Wanted) {
    const { aToB, bToA } = joined
    this.#a = a.socket
    this.#b = b.socket
    lendTo(a.socket, bToA)
    lendTo(b.socket, aToB)
    this.#readOfA = new ReadPast(a.socket, a.head.length + (head?.length ?? 0), aToB)
    this.#readOfB = new ReadPast(b.socket, b.head.length, bToA)
    this.#writtenToA = countWhile(a.socket, 'bytesWritten', bToA)
    this.#writtenToB = countWhile(b.socket, 'bytesWritten', aToB)
    this.#unwatch = look(joined, { onProgress, sockets: [a.socket, b.socket] })
    this.#unheed = signal && heed(joined, signal)
  }

  /** `there`: from a to b, `back`: from b to a. */
  letGo(there: Outcome, back: Outcome): void {
    this.#unheed?.()
    this.#readOfA.end(there)
    this.#readOfB.end(back)
    countAfter(this.#writtenToB, there.bytes)
    countAfter(this.#writtenToA, back.bytes)
    takeBack(this.#a)
    takeBack(this.#b)
    this.#unwatch()
  }
}

function look({ aToB, bToA }: Joined, listeners: Listeners): () => void {
  return watch(() => aToB.bytes() + bToA.bytes(), listeners)
}

function heed(joined: Joined, signal: AbortSignal): () => void {
  const cancel = (): void => {
    joined.cancel()
  }
  signal.addEventListener('abort', cancel)
  return () => {
    signal.removeEventListener('abort', cancel)
  }
}

/** The engine has met both ends of the socket: it ends as sockets do, but Node needs not look for itself. */
async function end(lent: LentDuplex): Promise<void> {
  const { socket } = lent
  markOver(socket)
  lent.giveBack()
  socket.resume()
  if (!socket.writableEnded) socket.end()
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

/** Of two failures, the one that is not the consequence of the other. */
function failureOf(there: Outcome, back: Outcome): Outcome | undefined {
  return [there, back]
    .filter(({ failure }) => failure)
    .sort((one, other) => Number(one.canceled) - Number(other.canceled))[0]
}

function explain(
  { failure, canceled }: Outcome,
  there: Outcome,
  back: Outcome,
  a: Socket,
  b: Socket,
  { signal }: Wanted,
): Error {
  const bytes = there.bytes + back.bytes
  const progress = { bytes, aToB: progressOf(there), bToA: progressOf(back) }
  if (!canceled) {
    delete failure?.residual
    return Object.assign(failure ?? new Error(), progress)
  }
  if (signal?.aborted) return Object.assign(abortError(signal, { bytes }), progress)
  const cause = a.errored ?? b.errored
  return Object.assign(closed(a.destroyed ? 'source' : 'sink'), progress, cause ? { cause } : {})
}

function progressOf({ bytes, residual }: Pick<Outcome, 'bytes' | 'residual'>): Progress {
  return residual === undefined ? { bytes } : { bytes, residual }
}

function resultOf({ bytes, mechanism, fallbacks }: Outcome): TransferResult {
  return { bytes, mechanism, fallbacks }
}

function ignore(): void {
  // The promise tells.
}
