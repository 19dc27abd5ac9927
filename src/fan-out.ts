// One source to many sinks, past JavaScript: lends all of them to the engine, and gives them back.

import type { Socket } from 'node:net'
import type { Stream } from 'node:stream'
import {
  classifySink,
  classifySource,
  destroy,
  streamOf,
  type Sink,
  type SinkKind,
  type Source,
  type SourceKind,
} from './endpoint/classify.js'
import { lendSink, lendSource } from './endpoint/lend.js'
import type { LentSink, LentSource } from './endpoint/lent.js'
import { lend } from './endpoint/socket.js'
import { closed } from './endpoint/wait.js'
import * as engine from './engine.js'
import { abortError, invalidType, invalidValue, type TransferError } from './errors.js'
import { fanOutByStream, type FanOutResult } from './fan-out-by-stream.js'
import { isRefusal, truncated } from './move.js'
import { countAlso } from './node-internals.js'
import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkSignal,
} from './options.js'
import { watch, type ProgressReport } from './pulse.js'

/** Options of {@link fanOut}. */
export interface FanOutOptions {
  /** Stops it; it then rejects with an AbortError. */
  signal?: AbortSignal
  /**
   * End the sinks and destroy the source afterwards; after a failure, destroy all. Default: `true` for Node's streams;
   * descriptors stay open.
   */
  end?: boolean
  /**
   * Go on without a sink that has accepted nothing for so long, in ms, while the others wait for it: it is destroyed,
   * and its `error` is ETIMEDOUT. Default: 0, wait for the slowest as long as it takes.
   */
  sinkTimeout?: number
  /** A sink that fails ends it all (`'abort'`, default), or is left out with its `error`, as long as there is another. */
  onSinkError?: 'abort' | 'drop'
  /** Called at most every 50 ms, and at the end. */
  onProgress?: (report: ProgressReport) => void
}

const OPTIONS = ['signal', 'end', 'sinkTimeout', 'onSinkError', 'onProgress']

/**
 * Gives all bytes of a source to each of many sinks, by tee(2): references to the same pages go to all of them, and
 * nothing is copied for one more. The slowest sink sets the pace.
 *
 * @param source anything that {@link transfer} takes
 * @param sinks at least one of what {@link transfer} takes; where one of them has no descriptor, Node's streams
 *   write to all. No sink gets more than the shortest Content-Length that a response among them has declared
 * @returns when every sink that stayed has accepted the last byte, and, with `end`, has ended
 * @throws a system's error with `bytes` (accepted by every sink), `side` and, where bytes were taken that could not be
 *   put back, `residual`; ERR_ZCIO_BUSY; TypeError and RangeError before anything moves
 */
export async function fanOut(source: Source, sinks: Sink[], options?: FanOutOptions): Promise<FanOutResult> {
  const wanted = check(options)
  if (!Array.isArray(sinks)) throw invalidType('sinks', 'an array of sinks', sinks)
  if (sinks.length === 0) throw invalidValue('sinks', sinks, 'must have at least one sink')
  const [from, to] = [classifySource(source), sinks.map(classifySink)]
  const streams = [from, ...to].map(streamOf)
  for (const stream of streams) stream?.on('error', ignore)
  try {
    return await fanOutBetween(from, to, wanted)
  } catch (error) {
    if ((wanted.end ?? true) && !isRefusal(error as TransferError)) {
      for (const stream of streams) destroy(stream)
    }
    throw error
  } finally {
    for (const stream of streams) if (!stream?.destroyed) stream?.off('error', ignore)
  }
}

type Wanted = ReturnType<typeof check>

function check(given: FanOutOptions | undefined) {
  const options = checkOptions(given, OPTIONS)
  const onSinkError = checkChoice('options.onSinkError', options.onSinkError ?? 'abort', ['abort', 'drop'])
  return {
    signal: checkSignal('options.signal', options.signal),
    end: checkBoolean('options.end', options.end),
    sinkTimeout: checkMilliseconds('options.sinkTimeout', options.sinkTimeout) ?? 0,
    onSinkError,
    onProgress: checkFunction('options.onProgress', options.onProgress),
  }
}

async function fanOutBetween(from: SourceKind, to: SinkKind[], wanted: Wanted): Promise<FanOutResult> {
  const { signal, end = true } = wanted
  if (signal?.aborted) throw abortError(signal, { bytes: 0 })
  const source = await lendSource(from, undefined, signal)
  if ('refused' in source) return fanOutByStream(from, to, wanted)
  const lent: LentSink[] = []
  const giveBack = (): void => {
    for (const sink of lent) sink.release()
  }
  for (const sink of to) {
    const one = await lendSink(sink, signal).catch((error: unknown) => {
      giveBack()
      source.giveBack?.(source.head)
      throw error
    })
    // At an offset only Node writes: the engine has one source for all, and no offsets.
    if ('refused' in one || one.start !== undefined) {
      if ('release' in one) one.release()
      giveBack()
      source.giveBack?.(source.head)
      return fanOutByStream(from, to, wanted)
    }
    lent.push(one)
  }
  let result: FanOutResult | undefined
  try {
    result = await run(source, lent, from, to, wanted)
  } catch (error) {
    giveBack()
    throw error
  } finally {
    source.giveBack?.()
  }
  if (result === undefined) {
    giveBack()
    return fanOutByStream(from, to, wanted)
  }
  await finish(lent, to, result, end)
  if (end) destroy(streamOf(from))
  return result
}

/** The engine's run; undefined where a descriptor would hold it up, and nothing has moved. */
async function run(
  source: LentSource,
  sinks: readonly LentSink[],
  from: SourceKind,
  to: readonly SinkKind[],
  wanted: Wanted,
): Promise<FanOutResult | undefined> {
  const { signal, onProgress, sinkTimeout, onSinkError } = wanted
  const running = engine.fanOut({
    source: source.fd,
    sinks: sinks.map(({ fd }) => fd),
    start: source.start,
    length: shortest(source.length, sinks),
    dropFailed: onSinkError === 'drop',
    sinkTimeout,
    head: source.head,
  })
  const release = hold(running, source, sinks, [from, ...to], wanted)
  const outcome = await running.ended
  release(outcome)
  const { bytes, failure, blocking, residual } = outcome
  sinks.forEach((sink, index) => {
    sink.count(outcome.sinks[index]?.bytes ?? 0)
  })
  const isPutBack = residual && (blocking || wanted.end === false) && source.giveBack?.(residual)
  if (blocking) return undefined
  if (failure) {
    const progress = residual && !isPutBack ? { bytes, residual } : { bytes }
    if (isPutBack) delete failure.residual
    if (!outcome.canceled) throw Object.assign(failure, progress)
    throw signal?.aborted ? abortError(signal, progress) : Object.assign(closed('source'), progress)
  }
  onProgress?.({ bytes })
  return { bytes, sinks: outcome.sinks }
}

/** What the heads of responses promise, none may exceed. */
function shortest(length: number | undefined, sinks: readonly LentSink[]): number | undefined {
  const lengths = [length, ...sinks.map(({ declared }) => declared)].filter((one) => one !== undefined)
  return lengths.length > 0 ? Math.min(...lengths) : undefined
}

/** Keeps the streams for the engine while it runs, and has them tell the truth. Returns how to let go of them. */
function hold(
  running: engine.FanOutRun,
  source: LentSource,
  sinks: readonly LentSink[],
  ends: readonly (SourceKind | SinkKind)[],
  { signal, onProgress }: Wanted,
): (outcome: engine.Outcome) => void {
  const headLength = source.head?.length ?? 0
  const letGo: ((outcome: engine.Outcome) => void)[] = []
  sinks.forEach(({ socket }, index) => {
    if (!socket) return
    letGo.push(
      lend(socket, () => {
        running.shutDown(index + 1)
      }),
    )
    const count = countAlso(socket, 'bytesWritten', running.bytes)
    letGo.push((outcome) => {
      count(outcome.sinks[index]?.bytes ?? 0)
    })
  })
  const { socket } = source
  const onClose = (): void => {
    running.hangUp('source')
  }
  if (socket) {
    socket.once('close', onClose)
    const count = countAlso(socket, 'bytesRead', () => Math.max(0, running.bytes() - headLength))
    letGo.push(({ bytes, residual }) => {
      socket.off('close', onClose)
      count(Math.max(0, bytes + (residual?.length ?? 0) - headLength))
    })
  }
  const files: Stream[] = ends.filter((end) => end.kind === 'file').map(({ stream }) => stream)
  for (const file of files) file.once('close', running.cancel)
  const sockets = [socket, ...sinks.map((sink) => sink.socket)].filter(
    (one): one is Socket => one !== undefined,
  )
  letGo.push(watch(running.bytes, { onProgress, sockets }))
  signal?.addEventListener('abort', running.cancel)
  return (outcome) => {
    signal?.removeEventListener('abort', running.cancel)
    for (const file of files) file.off('close', running.cancel)
    for (const release of letGo) release(outcome)
  }
}

/** Ends the sinks that stayed, and does away with those that did not. */
async function finish(
  lent: readonly LentSink[],
  to: readonly SinkKind[],
  { bytes, sinks }: FanOutResult,
  end: boolean,
): Promise<void> {
  const short = lent.find(({ declared }) => end && declared !== undefined && bytes < declared)
  if (short) throw truncated(bytes, short.declared ?? 0)
  await Promise.all(
    lent.map(async (sink, index) => {
      const kind = to[index]
      if (sinks[index]?.error && kind) {
        sink.release()
        destroy(streamOf(kind))
      } else if (end) await sink.end()
      else sink.release()
    }),
  )
}

function ignore(): void {
  // The promise tells.
}
