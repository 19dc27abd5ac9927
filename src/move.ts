// One run of the engine between two ends that have been lent to it: its signal, its progress, the sockets that must
// not go on without it, and its outcome as a result or an error.

import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { start, type Job, type Outcome, type Run } from './engine.js'
import { countReadPast } from './endpoint/receive.js'
import { lend } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import {
  abortError,
  isRefusal,
  zcioError,
  type Fallback,
  type Mechanism,
  type TransferError,
} from './errors.js'
import { countAlso } from './node-internals.js'
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
  /** The streams whose files these are: what JavaScript destroys is moved no further. */
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

/** Moves bytes until the source ends or the length is reached. */
export async function move(job: Move): Promise<TransferResult> {
  const { moved = 0, signal, onProgress, total } = job
  if (signal?.aborted) throw abortError(signal, { bytes: moved })
  const run = start(job)
  const release = hold(job, run)
  const outcome = await run.ended
  release(outcome)
  const { failure, declined, residual } = outcome
  const refused = declined !== undefined || (failure !== undefined && isRefusal(failure))
  if (residual && job.putBack?.(residual, refused)) outcome.residual = undefined
  const done = moved + outcome.bytes
  if (outcome.failure) throw explain(outcome, outcome.failure, done, job)
  onProgress?.(total === undefined ? { bytes: done } : { bytes: done, total })
  return { bytes: done, mechanism: outcome.mechanism, fallbacks: outcome.fallbacks }
}

/** Keeps the streams for the engine while it runs, and has them tell the truth. Returns how to let go of them. */
function hold(job: Move, run: Run): (outcome: Outcome) => void {
  const { sourceSocket, socket, reader, writer, moved = 0, head, signal, onProgress, total } = job
  const giveBack =
    socket &&
    lend(socket, () => {
      run.hangUp('sink')
    })
  const onClose = (): void => {
    run.hangUp('source')
  }
  sourceSocket?.once('close', onClose)
  const fixRead = sourceSocket && countReadPast(sourceSocket, head?.length ?? 0, run.bytes)
  const countWritten = socket && countAlso(socket, 'bytesWritten', run.bytes)
  const sockets = [sourceSocket, socket].filter((one) => one !== undefined)
  const unwatch = watch(() => moved + run.bytes(), { onProgress, total, told: moved, sockets })
  signal?.addEventListener('abort', run.cancel)
  for (const stream of [reader, writer]) stream?.once('close', run.cancel)
  return (outcome) => {
    signal?.removeEventListener('abort', run.cancel)
    for (const stream of [reader, writer]) stream?.off('close', run.cancel)
    unwatch()
    fixRead?.(outcome)
    countWritten?.(outcome.bytes)
    sourceSocket?.off('close', onClose)
    giveBack?.()
  }
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
