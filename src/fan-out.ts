// One source to many sinks, past JavaScript: sorts out what they are, lends them to the engine, gives them back.

import { isTraced, traced } from './diagnostics.js'
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
import { lendMany, release } from './endpoint/lend-many.js'
import type { LentSink } from './endpoint/lent.js'
import { abortError, failsAtEnd, invalidType, invalidValue, isRefusal, type TransferError } from './errors.js'
import { fanOutByStream } from './fan-out-by-stream.js'
import { Declined, truncated } from './move.js'
import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkSignal,
} from './options.js'
import type { ProgressReport } from './pulse.js'
import { spread, type FanOutResult } from './spread.js'

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
   * Go on without a sink that has accepted nothing of what there is for so long, in ms: it gets no more, its `error`
   * is ETIMEDOUT, whatever `onSinkError` says, and it is destroyed (a descriptor stays open). With the last one left, it
   * rejects with that error. While the source gives nothing, nobody is late. Default: 0, wait for the slowest as long as
   * it takes.
   */
  sinkTimeout?: number
  /** A sink that fails ends it all (`'abort'`, default), or is left out with its `error`, as long as there is another. */
  onSinkError?: 'abort' | 'drop'
  /** Called at most every 50 ms, and at the end. */
  onProgress?: (report: ProgressReport) => void
}

const OPTIONS = ['signal', 'end', 'sinkTimeout', 'onSinkError', 'onProgress']

/**
 * Gives all bytes of a source to each of many sinks. To pipes references to the same pages go by tee(2), and nothing is
 * copied for one more; what goes to sockets and files, where that costs more than a copy, is read once and written to
 * each. The slowest sink sets the pace.
 *
 * @param source anything that {@link transfer} takes
 * @param sinks at least one of what {@link transfer} takes; where one of them has no descriptor, Node's streams
 *   write to all, and `fallbacks` says so. No sink gets more than the shortest Content-Length that a response among
 *   them has declared
 * @returns when every sink that stayed has accepted the last byte, and, with `end`, has ended
 * @throws a system's error with `bytes` (accepted by every sink), `side` and, where bytes were taken that could not be
 *   put back, `residual`; ERR_ZCIO_BUSY; TypeError and RangeError before anything moves
 */
export async function fanOut(source: Source, sinks: Sink[], options?: FanOutOptions): Promise<FanOutResult> {
  if (!isTraced()) return fanOutEnds(source, sinks, options)
  const trace = { operation: 'fanOut', source, sink: sinks, options }
  return traced(trace, () => fanOutEnds(source, sinks, options))
}

async function fanOutEnds(
  source: Source,
  sinks: Sink[],
  options: FanOutOptions | undefined,
): Promise<FanOutResult> {
  const wanted = check(options)
  if (!Array.isArray(sinks)) throw invalidType('sinks', 'an array of sinks', sinks)
  if (sinks.length === 0) throw invalidValue('sinks', sinks, 'must have at least one sink')
  const [from, to] = [classifySource(source), classifySinks(sinks)]
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

/** Holes of an array are sinks that were forgotten. */
function classifySinks(sinks: readonly Sink[]): SinkKind[] {
  return Array.from(sinks, (sink: Sink | undefined, index) => {
    if (sink === undefined) throw invalidType(`sinks[${index}]`, 'a sink', sink)
    return classifySink(sink)
  })
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
  const lent = await lendMany(from, to, signal, !end)
  if ('refused' in lent) return fanOutByStream(from, to, wanted, lent.refused)
  const files = [from, ...to].map((end) => (end.kind === 'file' ? streamOf(end) : undefined))
  const streams = to.map(streamOf)
  const { source, sinks } = lent
  let result: FanOutResult
  try {
    result = await spread(lent, {
      ...wanted,
      files,
      livesOn: !end,
      onLeave: (sink) => {
        destroy(streams[sink])
      },
    })
  } catch (error) {
    release(sinks)
    source.giveBack?.()
    if (error instanceof Declined) return fanOutByStream(from, to, wanted, error.reason)
    throw error
  }
  source.giveBack?.()
  await finish(sinks, to, result, end)
  if (end) destroy(streamOf(from))
  return result
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
  ).catch(failsAtEnd(bytes))
}

function ignore(): void {
  // The promise tells.
}
