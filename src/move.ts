// One run of the engine between two ends that have been lent to it: its signal, its progress, the sockets that must
// not go on without it, and its outcome as a result or an error.

import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { start, type Job, type Outcome } from './engine.js'
import { lend } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import { abortError, zcioError, type Fallback, type Mechanism } from './errors.js'
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
  /** The socket that is the sink, if it is one. */
  socket?: Socket | undefined
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

/** The engine cannot wait for this descriptor without holding up its thread. */
export class Blocking extends Error {}

/** Moves bytes until the source ends or the length is reached. */
export async function move(job: Move): Promise<TransferResult> {
  const { socket, reader, writer, moved = 0, signal, onProgress, total } = job
  if (signal?.aborted) throw abortError(signal, { bytes: moved })
  const run = start(job)
  const bytes = (): number => moved + run.bytes()
  const giveBack = socket === undefined ? undefined : lend(socket, run.hangUp)
  const unwatch = watch(bytes, { onProgress, total, sockets: socket === undefined ? [] : [socket] })
  signal?.addEventListener('abort', run.cancel)
  for (const stream of [reader, writer]) stream?.once('close', run.cancel)
  const outcome = await run.ended
  signal?.removeEventListener('abort', run.cancel)
  for (const stream of [reader, writer]) stream?.off('close', run.cancel)
  unwatch()
  giveBack?.()
  const done = moved + outcome.bytes
  if (outcome.failure) throw explain(outcome, outcome.failure, done, job)
  onProgress?.(total === undefined ? { bytes: done } : { bytes: done, total })
  return { bytes: done, mechanism: outcome.mechanism, fallbacks: outcome.fallbacks }
}

function explain(outcome: Outcome, failure: Error, bytes: number, job: Move): Error {
  const { canceled, blocking, residual } = outcome
  if (blocking) return new Blocking(failure.message)
  if (!canceled) return Object.assign(failure, { bytes })
  const progress = residual === undefined ? { bytes } : { bytes, residual }
  if (job.signal?.aborted) return abortError(job.signal, progress)
  const cause = job.reader?.errored ?? job.writer?.errored ?? job.socket?.errored
  const error = closed(job.reader?.destroyed ? 'source' : 'sink')
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
