// Any source to any sink: sorts out what the two are, lends them to the engine, gives them back.

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
import { giveBackHead, type LentSink, type LentSource } from './endpoint/lent.js'
import { bestMechanism } from './endpoint/route.js'
import { abortError, failsAtEnd, isRefusal, zcioError, type Fallback, type TransferError } from './errors.js'
import { transferByStream } from './fallback.js'
import { isTraced, traced } from './diagnostics.js'
import { Declined, move, truncated, type Move, type TransferResult } from './move.js'
import {
  checkBoolean,
  checkBytes,
  checkFunction,
  checkOptions,
  checkSignal,
  shortest,
  type Bytes,
} from './options.js'
import type { ProgressReport } from './pulse.js'
import { checkMechanisms, type KernelMechanism } from './settings.js'

/** Options of {@link transfer}. */
export interface TransferOptions {
  /** First byte of a seekable source. Absent: from its position, which then moves. */
  start?: number | bigint
  /** First byte of a seekable sink. Absent: at its position, which then moves. */
  sinkStart?: number | bigint
  /** At most so many bytes. Absent: to the end of the source. */
  length?: number | bigint
  /**
   * Where the kernel offers no way past user space: `true` (default) copies, `false` rejects with ERR_ZCIO_COPY_REQUIRED.
   * With `true` a few bytes are copied as well where that costs less: `fallbacks` then says so.
   */
  fallback?: boolean
  /** Mechanisms that this transfer is not to use, whatever `configure` says; `fallbacks` names them with SWITCHED_OFF. */
  disable?: readonly KernelMechanism[]
  /** Copy, so that the receiver does not see later writes to the source. Default: by reference. */
  snapshot?: boolean
  /**
   * End the sink and destroy the source afterwards; after a failure, destroy both. Default: `true` for Node's streams;
   * descriptors stay open.
   */
  end?: boolean
  /** Stops the transfer, which then rejects with an AbortError. */
  signal?: AbortSignal
  /** Called at most every 50 ms, and at the end. */
  onProgress?: (report: ProgressReport) => void
}

const OPTIONS = [
  'start',
  'sinkStart',
  'length',
  'fallback',
  'disable',
  'snapshot',
  'end',
  'signal',
  'onProgress',
]

/**
 * Moves bytes from a source to a sink by the best means the kernel offers for the two, without them entering
 * JavaScript, or user space where that can be avoided.
 *
 * Where Node's own streams must do it (TLS, compression, a stream without a descriptor), they do, and the result
 * says so. Without `snapshot`, a file is sent by reference: as it is when the receiver reads it.
 *
 * @returns when the sink has accepted the last byte, and, with `end`, has ended
 * @throws a system's error with `bytes`, `side` and, where bytes were taken that could not be put back, `residual`;
 *   ERR_ZCIO_BUSY, ERR_ZCIO_COPY_REQUIRED, ERR_ZCIO_UNSUPPORTED; TypeError and RangeError before anything moves
 */
export async function transfer(
  source: Source,
  sink: Sink,
  options?: TransferOptions,
): Promise<TransferResult> {
  if (!isTraced()) return transferEnds(source, sink, options)
  const trace = { operation: 'transfer', source, sink, options }
  return traced(trace, () => transferEnds(source, sink, options))
}

async function transferEnds(
  source: Source,
  sink: Sink,
  options: TransferOptions | undefined,
): Promise<TransferResult> {
  const wanted = checkTransfer(options)
  const ends = [classifySource(source), classifySink(sink)] as const
  const streams = ends.map(streamOf)
  // Their errors reject the promise; without a listener they would end the process as well.
  for (const stream of streams) stream?.on('error', ignore)
  try {
    return await transferBetween(...ends, wanted)
  } catch (error) {
    if ((wanted.end ?? true) && !isRefusal(error as TransferError)) {
      for (const stream of streams) destroy(stream)
    }
    throw error
  } finally {
    for (const stream of streams) if (!stream?.destroyed) stream?.off('error', ignore)
  }
}

/** Options as {@link checkTransfer} leaves them. */
interface Wanted {
  start: Bytes | undefined
  sinkStart: Bytes | undefined
  length: Bytes | undefined
  fallback: boolean
  disable: KernelMechanism[] | undefined
  snapshot: boolean
  end: boolean | undefined
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
}

/** The options of a transfer, checked, and those that have a default filled in. */
export function checkTransfer(given: TransferOptions | undefined): Wanted {
  const options = checkOptions(given, OPTIONS)
  return {
    start: checkBytes('options.start', options.start),
    sinkStart: checkBytes('options.sinkStart', options.sinkStart),
    length: checkBytes('options.length', options.length),
    fallback: checkBoolean('options.fallback', options.fallback) ?? true,
    disable: checkMechanisms('options.disable', options.disable),
    snapshot: checkBoolean('options.snapshot', options.snapshot) ?? false,
    end: checkBoolean('options.end', options.end),
    signal: checkSignal('options.signal', options.signal),
    onProgress: checkFunction('options.onProgress', options.onProgress),
  }
}

async function transferBetween(from: SourceKind, to: SinkKind, wanted: Wanted): Promise<TransferResult> {
  const { signal, end = true } = wanted
  if (signal?.aborted) throw abortError(signal, { bytes: 0 })
  const source = await lendSource(from, wanted.start, signal)
  if ('refused' in source) return byStream(from, to, wanted, source.refused)
  const sink = await lendSink(to, signal).catch((error: unknown) => {
    throw giveBackHead(source, error as TransferError, isRefusal(error as TransferError) || !end)
  })
  if ('refused' in sink) {
    source.giveBack?.(source.head)
    return byStream(from, to, wanted, sink.refused)
  }
  let result: TransferResult
  try {
    result = await moveBetween(source, sink, wanted, {
      reader: from.kind === 'file' ? from.stream : undefined,
      writer: to.kind === 'file' ? to.stream : undefined,
    })
  } catch (error) {
    sink.release()
    source.giveBack?.()
    if (error instanceof Declined) return byStream(from, to, wanted, error.reason)
    throw error
  }
  source.giveBack?.()
  if (!end) sink.release()
  if (end) await sink.end().catch(failsAtEnd(result.bytes))
  if (end) destroy(streamOf(from))
  return result
}

async function moveBetween(
  source: LentSource,
  sink: LentSink,
  wanted: Wanted,
  streams: Pick<Move, 'reader' | 'writer'>,
): Promise<TransferResult> {
  const { declared } = sink
  const length = shortest(wanted.length, source.length, declared)
  const result = await move({
    get source() {
      return source.fd
    },
    get sink() {
      return sink.fd
    },
    start: source.start,
    sinkStart: wanted.sinkStart ?? sink.start,
    length,
    fallback: wanted.fallback,
    disable: wanted.disable,
    snapshot: wanted.snapshot,
    head: source.head,
    isSinkSocket: declared !== undefined,
    sourceSocket: source.socket,
    socket: sink.socket,
    // A stream that is going to be destroyed would take them with it.
    putBack: (residual, refused) =>
      (refused || wanted.end === false) && (source.giveBack?.(residual) ?? false),
    ...streams,
    signal: wanted.signal,
    onProgress: wanted.onProgress,
    total: length === undefined ? undefined : Number(length),
  }).catch((error: unknown) => {
    sink.count((error as Partial<TransferError>).bytes ?? 0)
    throw error
  })
  sink.count(result.bytes)
  if (declared !== undefined && wanted.end !== false && result.bytes < declared)
    throw truncated(result.bytes, declared)
  return result
}

async function byStream(
  source: SourceKind,
  sink: SinkKind,
  wanted: Wanted,
  code: string,
): Promise<TransferResult> {
  if (!wanted.fallback) {
    const message = `only Node's streams can move these bytes (${code}); allow it with fallback: true`
    throw zcioError('ERR_ZCIO_COPY_REQUIRED', message)
  }
  const fallbacks: Fallback[] = [{ mechanism: bestMechanism(source, sink), code }]
  const result = await transferByStream(source, sink, { ...wanted, fallbacks })
  if (wanted.end ?? true) destroy(streamOf(source))
  return result
}

function ignore(): void {
  // The promise tells.
}
