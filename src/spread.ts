// One run of the engine from one source to many sinks that have been lent to it: its signal, its progress, the sockets
// that must not go on without it, and its outcome as a result or an error. What move.ts is for one sink.

import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type { Outcome, SinkOutcome } from './ending.js'
import * as engine from './engine.js'
import type { LentMany } from './endpoint/lend-many.js'
import { holdOpen } from './endpoint/hold-open.js'
import { giveBackHead, type LentSink, type LentSource } from './endpoint/lent.js'
import { ReadPast } from './endpoint/receive.js'
import { lend } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import { abortError, isRefusal, type Fallback, type TransferError } from './errors.js'
import { Declined } from './move.js'
import { countAfter, countWhile } from './node-internals.js'
import { shortest } from './options.js'
import { watch, type ProgressReport } from './pulse.js'

/** What a fan-out came to. */
export interface FanOutResult {
  /** Bytes taken from the source and accepted by every sink that stayed. */
  bytes: number
  /** Each sink, in the order given: what it accepted, how, and why it was left out. */
  sinks: SinkOutcome[]
  /**
   * Why bytes were copied, where they were, also where that is cheaper (`FEW_PIPES`). Empty where references to the same
   * pages went to all sinks.
   */
  fallbacks: readonly Fallback[]
}

/** What is wanted. */
export interface Spread {
  /** Of each end, the source's first, the stream whose file it is: what JavaScript destroys is moved no further. */
  files: readonly (Readable | Writable | undefined)[]
  /** Whether the source is still to be read after a failure. */
  livesOn: boolean
  sinkTimeout: number
  onSinkError: 'abort' | 'drop'
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
  /** Told of a sink that the others go on without, when they do. */
  onLeave: (sink: number) => void
}

/** Gives every sink all bytes of the source, up to what the shortest head among them has declared. */
export async function spread({ source, sinks }: LentMany, how: Spread): Promise<FanOutResult> {
  const { signal, onProgress } = how
  const held: (() => void)[] = []
  const run = begin(source, sinks, how, (sink) => {
    // The engine is through with it.
    held[sink + 1]?.()
    how.onLeave(sink)
  })
  held.push(...how.files.map((file) => (file ? holdOpen(file, run.cancel) : nothing)))
  const letGo = [...hold(run, source, sinks, how), ...held]
  const outcome = await run.ended
  for (const release of letGo) release(outcome)
  sinks.forEach((sink, index) => {
    sink.count(outcome.sinks[index]?.bytes ?? 0)
  })
  const { bytes, declined, failure, residual, fallbacks } = outcome
  const livesOn = how.livesOn || declined !== undefined || (failure !== undefined && isRefusal(failure))
  if (residual && livesOn && source.giveBack?.(residual)) outcome.residual = undefined
  if (failure)
    throw declined === undefined ? explain(outcome, failure, signal) : new Declined(declined, failure)
  onProgress?.({ bytes })
  return { bytes, sinks: outcome.sinks, fallbacks }
}

function begin(
  source: LentSource,
  sinks: readonly LentSink[],
  how: Spread,
  onLeave: (sink: number) => void,
): engine.FanOutRun {
  const { signal, sinkTimeout, onSinkError } = how
  try {
    // It may have been aborted while the ends were lent: then nobody would hear of it any more.
    if (signal?.aborted) throw abortError(signal, { bytes: 0 })
    const job = {
      source: source.fd,
      sinks: sinks.map(({ fd }) => fd),
      start: source.start,
      length: shortest(source.length, ...sinks.map(({ declared }) => declared)),
      dropFailed: onSinkError === 'drop',
      sinkTimeout,
      head: source.head,
    }
    return engine.fanOut(job, onLeave)
  } catch (error) {
    throw giveBackHead(source, error as TransferError, how.livesOn)
  }
}

type LetGo = (outcome: Outcome) => void

/** Keeps the streams for the engine while it runs, and has them tell the truth. Returns how to let go of them. */
function hold(
  run: engine.FanOutRun,
  source: LentSource,
  sinks: readonly LentSink[],
  { signal, onProgress }: Spread,
): LetGo[] {
  const sockets = [source.socket, ...sinks.map(({ socket }) => socket)].filter((one) => one !== undefined)
  const unwatch = watch(run.bytes, { onProgress, sockets })
  signal?.addEventListener('abort', run.cancel)
  return [
    () => {
      signal?.removeEventListener('abort', run.cancel)
      unwatch()
    },
    ...(source.socket ? holdSource(run, source.socket, source.head?.length ?? 0) : []),
    ...sinks.flatMap(({ socket }, index) => (socket ? holdSink(run, socket, index) : [])),
  ]
}

function holdSource(run: engine.FanOutRun, socket: Socket, headLength: number): LetGo[] {
  const onClose = (): void => {
    run.hangUp('source')
  }
  const read = new ReadPast(socket, headLength, run)
  socket.once('close', onClose)
  return [
    (outcome) => {
      socket.off('close', onClose)
      read.end(outcome)
    },
  ]
}

function holdSink(run: engine.FanOutRun, socket: Socket, index: number): LetGo[] {
  const giveBack = lend(socket, () => {
    run.shutDown(index + 1)
  })
  const written = countWhile(socket, 'bytesWritten', { bytes: () => run.bytesOf(index) })
  return [
    ({ sinks }) => {
      countAfter(written, sinks[index]?.bytes ?? 0)
      giveBack()
    },
  ]
}

function explain(
  { bytes, canceled, residual }: Outcome,
  failure: NonNullable<Outcome['failure']>,
  signal: AbortSignal | undefined,
): Error {
  delete failure.residual
  const progress = residual === undefined ? { bytes } : { bytes, residual }
  if (!canceled) return Object.assign(failure, progress)
  return signal?.aborted ? abortError(signal, progress) : Object.assign(closed('source'), progress)
}

function nothing(): void {
  // It is no file.
}
