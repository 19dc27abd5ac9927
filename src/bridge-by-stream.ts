// The same bridge by Node's own streams: for sockets that are encrypted, wrapped, or otherwise not to be gone past.

import type { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { checkWritable } from './endpoint/stream.js'
import { abortError, systemError, type Fallback, type TransferError } from './errors.js'
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
  const idle = new Idleness(how.idleTimeout)
  const stop = new AbortController()
  const signals = [stop.signal, idle.signal, ...(how.signal ? [how.signal] : [])]
  const moved = { aToB: 0, bToA: 0 }
  const pipe = (source: Socket, sink: Socket, direction: 'aToB' | 'bToA'): Promise<TransferResult> => {
    const fallbacks: Fallback[] = [{ mechanism: 'splice', code: how.refused }]
    const onProgress = ({ bytes }: ProgressReport): void => {
      idle.postpone()
      moved[direction] = bytes
      how.onProgress?.({ bytes: moved.aToB + moved.bToA })
    }
    const ends = { start: undefined, sinkStart: undefined, length: undefined, end: true }
    const transfer = { ...ends, signal: AbortSignal.any(signals), onProgress, fallbacks }
    return transferByStream({ kind: 'stream', stream: source }, { kind: 'socket', socket: sink }, transfer)
  }
  checkBoth(a, b, how)
  // Else Node would end a socket of itself when its peer has.
  a.allowHalfOpen = b.allowHalfOpen = true
  if (how.head?.length) b.write(how.head)
  try {
    const [aToB, bToA] = await Promise.all([pipe(a, b, 'aToB'), pipe(b, a, 'bToA')])
    return { aToB: { ...aToB, bytes: aToB.bytes + (how.head?.length ?? 0) }, bToA }
  } catch (error) {
    stop.abort()
    const progress = {
      bytes: moved.aToB + moved.bToA,
      aToB: { bytes: moved.aToB },
      bToA: { bytes: moved.bToA },
    }
    throw Object.assign(explain(error as TransferError, idle, how), progress)
  } finally {
    idle.stop()
  }
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

function explain(error: TransferError, idle: Idleness, { signal }: StreamBridge): Error {
  if (signal?.aborted) return abortError(signal, { bytes: 0 })
  return idle.signal.aborted ? systemError(os.errno.ETIMEDOUT, 'bridge') : error
}

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

  postpone(): void {
    this.#timer?.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
