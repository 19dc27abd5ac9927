// The same bridge by Node's own streams: for sockets that are encrypted, wrapped, or otherwise not to be gone past.

import type { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { checkWritable } from './endpoint/stream.js'
import { abortError, systemError, type Progress, type TransferError } from './errors.js'
import { transferByStream } from './fallback.js'
import type { TransferResult } from './move.js'
import type { ProgressReport } from './pulse.js'

/** How both directions went. */
export interface BridgeResult {
  aToB: TransferResult
  bToA: TransferResult
}

/** What is wanted, and why the kernel did not do it. */
export interface StreamBridge {
  signal: AbortSignal | undefined
  idleTimeout: number
  head: Buffer | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
  refused: string
}

/** Pipes each of two sockets into the other. */
export async function bridgeByStream(a: Socket, b: Socket, how: StreamBridge): Promise<BridgeResult> {
  checkBoth(a, b, how)
  // Else Node would end a socket of itself when its peer has.
  a.allowHalfOpen = b.allowHalfOpen = true
  const run = new Run(how)
  const ways = [run.pipe(a, b, 'aToB', how.head), run.pipe(b, a, 'bToA')] as const
  const [there, back] = await Promise.allSettled(ways)
  run.end()
  if (there.status === 'rejected' || back.status === 'rejected') throw run.explain()
  return { aToB: there.value, bToA: back.value }
}

/** Throws where one of them takes nothing any more, and nothing has moved. */
function checkBoth(a: Socket, b: Socket, { head }: StreamBridge): void {
  try {
    for (const socket of [a, b]) checkWritable(socket)
  } catch (error) {
    const aToB = head?.length ? { bytes: 0, residual: head } : { bytes: 0 }
    throw Object.assign(error as TransferError, { aToB, bToA: { bytes: 0 } })
  }
}

/** What both directions have in common. */
class Run {
  readonly #how: StreamBridge
  readonly #idle: Idleness
  /** Neither direction goes on without the other. */
  readonly #stop = new AbortController()
  readonly #progress: Record<keyof BridgeResult, Progress> = { aToB: { bytes: 0 }, bToA: { bytes: 0 } }
  /** What ended it, of which a second failure is only the consequence. */
  #error: TransferError | undefined

  constructor(how: StreamBridge) {
    this.#how = how
    this.#idle = new Idleness(how.idleTimeout)
  }

  /** Pipes in one direction, what was read before first. */
  async pipe(source: Socket, sink: Socket, way: keyof BridgeResult, head?: Buffer): Promise<TransferResult> {
    const { signal, refused, onProgress } = this.#how
    const signals = [this.#stop.signal, this.#idle.signal, ...(signal ? [signal] : [])]
    const ends = [
      { kind: 'stream', stream: source },
      { kind: 'socket', socket: sink },
    ] as const
    try {
      return await transferByStream(...ends, {
        ...WHOLE,
        head,
        signal: AbortSignal.any(signals),
        onMove: this.#idle.postpone,
        onProgress: ({ bytes }) => {
          this.#progress[way] = { bytes }
          onProgress?.({ bytes: this.#progress.aToB.bytes + this.#progress.bToA.bytes })
        },
        // Both directions may fail with one and the same error, which can tell of one only.
        onFailure: (progress) => {
          this.#progress[way] = progress
        },
        fallbacks: [{ mechanism: 'splice', code: refused }],
      })
    } catch (error) {
      this.#error ??= error as TransferError
      this.#stop.abort()
      throw error
    }
  }

  end(): void {
    this.#idle.stop()
  }

  /** The error, with how far each direction came. */
  explain(): Error {
    const { signal } = this.#how
    const { aToB, bToA } = this.#progress
    const progress = { bytes: aToB.bytes + bToA.bytes, aToB, bToA }
    if (signal?.aborted) return Object.assign(abortError(signal, progress), progress)
    if (this.#idle.signal.aborted) return systemError(os.errno.ETIMEDOUT, 'bridge', progress)
    delete this.#error?.residual
    return Object.assign(this.#error ?? new Error(), progress)
  }
}

const WHOLE = { start: undefined, sinkStart: undefined, length: undefined, end: true } as const

/** Aborts its signal when nobody has postponed that for so many ms; 0: never. */
class Idleness {
  readonly #expired = new AbortController()
  readonly #timer: NodeJS.Timeout | undefined

  constructor(timeout: number) {
    if (timeout > 0)
      this.#timer = setTimeout(() => {
        this.#expired.abort()
      }, timeout).unref()
  }

  get signal(): AbortSignal {
    return this.#expired.signal
  }

  readonly postpone = (): void => {
    this.#timer?.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
