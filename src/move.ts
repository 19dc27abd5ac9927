// One run of the engine between two ends that have been lent to it: its signal, its progress, the sockets that must
// not go on without it, and its outcome as a result or an error.

import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type { Outcome } from './ending.js'
import { Running, type Job } from './engine.js'
import { holdOpen } from './endpoint/hold-open.js'
import { ReadPast } from './endpoint/receive.js'
import { lendTo, takeBack } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import {
  abortError,
  isRefusal,
  zcioError,
  type Fallback,
  type Mechanism,
  type TransferError,
} from './errors.js'
import { countAfter, countWhile, type Past } from './node-internals.js'
import { watch, type ProgressReport } from './pulse.js'

/** How a transfer went. */
export interface TransferResult {
  /** Bytes that the sink accepted. Accepted by the kernel is not yet received by a peer. */
  bytes: number
  /** How they moved: the last mechanism that ran. */
  mechanism: Mechanism
  /** The better mechanisms that did not run, and why. Empty where the best one did. */
  fallbacks: readonly Fallback[]
}

export interface Move extends Job {
  /** The sockets that these are, if they are some. */
  sourceSocket?: Socket | undefined
  socket?: Socket | undefined
  /**
   * Puts bytes back that were taken from the source and not moved; where it cannot, they are the error's. `refused`:
   * nothing has begun, and the source lives on.
   */
  putBack?: ((residual: Buffer, refused: boolean) => boolean) | undefined
  /** The streams whose files these are: what JavaScript destroys is moved no further, and closed then. */
  reader?: Readable | undefined
  writer?: Writable | undefined
  /** Bytes moved before the engine took over. */
  moved?: number
  signal?: AbortSignal | undefined
  onProgress?: ((report: ProgressReport) => void) | undefined
  /** Bytes to be moved in all, where that is known. */
  total?: number | undefined
}

/** The engine cannot have these descriptors, and Node's streams can. Nothing has moved. */
export class Declined extends Error {
  /** Why, in the words of `fallbacks`. */
  readonly reason: string

  constructor(reason: string, failure: TransferError) {
    super(failure.message)
    this.reason = reason
    Object.assign(this, failure)
  }
}

/** Who is told how a {@link Moving} went. */
export interface Settled {
  resolve(result: TransferResult): void
  reject(error: unknown): void
}

/** Moves bytes until the source ends or the length is reached. */
export function move(job: Move): Promise<TransferResult> {
  return new Promise((resolve, reject) => {
    moveFor(job, { resolve, reject })
  })
}

/** The same without a promise of its own: what waits for a slow reader is one object. Throws where nothing begins. */
export function moveFor(job: Move, settled: Settled): void {
  begin(job, settled).hold()
}

function begin(job: Move, settled: Settled): Moving {
  const { moved = 0, signal } = job
  try {
    // It may have been aborted while the ends were lent: then nobody would hear of it any more.
    if (signal?.aborted) throw abortError(signal, { bytes: moved })
    return new Moving(job, settled)
  } catch (error) {
    throw unmoved(job, error as TransferError)
  }
}

/** What was taken from the source before is left over, as it is of a run that has moved nothing. */
function unmoved({ head, putBack }: Move, error: TransferError): TransferError {
  const isBack = !head?.length || putBack?.(head, isRefusal(error))
  return isBack ? error : Object.assign(error, { residual: head })
}

class Moving extends Running {
  readonly #job: Move
  readonly #settled: Settled
  #written: Past | undefined
  #release: ((outcome: Outcome) => void) | undefined
  #unwatch: (() => void) | undefined

  constructor(job: Move, settled: Settled) {
    super(job)
    this.#job = job
    this.#settled = settled
  }

  /** Keeps the streams for the engine while it runs, and has them tell the truth. */
  hold(): void {
    const { sourceSocket, socket, reader, writer, signal } = this.#job
    if (socket !== undefined) {
      lendTo(socket, this)
      this.#written = countWhile(socket, 'bytesWritten', this)
    }
    if (sourceSocket ?? reader ?? writer ?? signal) this.#release = heed(this, this.#job)
    this.#unwatch = look(this, this.#job)
  }

  protected override ended(outcome: Outcome): void {
    try {
      this.#letGo(outcome)
      this.#settled.resolve(conclude(outcome, this.#job))
    } catch (error) {
      this.#settled.reject(error)
    }
  }

  #letGo(outcome: Outcome): void {
    this.#unwatch?.()
    this.#release?.(outcome)
    countAfter(this.#written, outcome.bytes)
    if (this.#job.socket !== undefined) takeBack(this.#job.socket)
  }
}

/** Ends a run with what it is for. Returns how to end that. */
function heed(run: Moving, { sourceSocket, reader, writer, head, signal }: Move): (outcome: Outcome) => void {
  const cancel = (): void => {
    run.cancel()
  }
  const onClose = (): void => {
    run.hangUp('source')
  }
  sourceSocket?.once('close', onClose)
  const read = sourceSocket && new ReadPast(sourceSocket, head?.length ?? 0, run)
  signal?.addEventListener('abort', cancel)
  const files = [reader, writer].map((stream) => stream && holdOpen(stream, cancel))
  return (outcome) => {
    signal?.removeEventListener('abort', cancel)
    for (const letGo of files) letGo?.()
    read?.end(outcome)
    sourceSocket?.off('close', onClose)
  }
}

/** Reports its progress, and keeps timeouts from firing. Returns how to end that. */
function look(run: Moving, { sourceSocket, socket, moved = 0, onProgress, total }: Move): () => void {
  const sockets = [sourceSocket, socket].filter((one) => one !== undefined)
  return watch(() => moved + run.bytes(), { onProgress, total, told: moved, sockets })
}

/** What came of it, for who asked for it; throws where it failed. */
function conclude(outcome: Outcome, job: Move): TransferResult {
  const { moved = 0, onProgress, total } = job
  const { failure, declined, residual, mechanism, fallbacks } = outcome
  const refused = declined !== undefined || (failure !== undefined && isRefusal(failure))
  if (residual && job.putBack?.(residual, refused)) outcome.residual = undefined
  const bytes = moved + outcome.bytes
  if (failure) throw explain(outcome, failure, bytes, job)
  onProgress?.(total === undefined ? { bytes } : { bytes, total })
  return { bytes, mechanism, fallbacks }
}

function explain(outcome: Outcome, failure: TransferError, bytes: number, job: Move): Error {
  const { canceled, declined, residual } = outcome
  if (residual === undefined) delete failure.residual
  if (declined !== undefined) return new Declined(declined, failure)
  if (!canceled) return Object.assign(failure, { bytes })
  const progress = residual === undefined ? { bytes } : { bytes, residual }
  if (job.signal?.aborted) return abortError(job.signal, progress)
  const { reader, sourceSocket, writer, socket } = job
  const source = reader ?? sourceSocket
  const cause = source?.errored ?? writer?.errored ?? socket?.errored
  const error = closed(source?.destroyed ? 'source' : 'sink')
  return Object.assign(error, progress, cause ? { cause } : {})
}

/** The file has become shorter than the head declared. */
export function truncated(bytes: number, length: number): Error {
  return zcioError(
    'ERR_ZCIO_SOURCE_TRUNCATED',
    `the file ended after ${bytes} of the ${length} bytes that the head declares`,
    { bytes, side: 'source' },
  )
}
