// The same promise by node:stream: for what has no descriptor, or one that the kernel paths must leave alone.

import { WriteStream } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Delivery } from './delivery.js'
import { destroy, type SinkKind, type SourceKind } from './endpoint/classify.js'
import { putBack, readerOf, writerOf } from './endpoint/stream.js'
import { abortError, type Fallback, type Progress } from './errors.js'
import { Meter } from './meter.js'
import type { TransferResult } from './move.js'
import type { Bytes } from './options.js'
import { watch, type ProgressReport } from './pulse.js'
import { counted } from './stats.js'

/** What is wanted, and why the kernel did not do it. */
export interface StreamTransfer {
  start: Bytes | undefined
  sinkStart: Bytes | undefined
  length: Bytes | undefined
  end: boolean | undefined
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
  fallbacks: readonly Fallback[]
  /** What was read of the source before, and goes first. */
  head?: Buffer | undefined
  /** Called whenever bytes were taken or accepted. */
  onMove?: (() => void) | undefined
  /** Told how far it came, should it fail. */
  onFailure?: (progress: Progress) => void
}

/** Pipes a source into a sink, as far as the length goes. */
export async function transferByStream(
  source: SourceKind,
  sink: SinkKind,
  how: StreamTransfer,
): Promise<TransferResult> {
  const bytes = await counted(how.fallbacks, () => moveByStream(source, sink, how))
  how.onProgress?.({ bytes })
  return { bytes, mechanism: 'stream', fallbacks: how.fallbacks }
}

async function moveByStream(source: SourceKind, sink: SinkKind, how: StreamTransfer): Promise<number> {
  const { signal, end = true, onProgress, head, onMove } = how
  const { reader, writer } = open(source, sink, how)
  const isOwn = sink.kind === 'descriptor'
  const meter = new Meter(reader, { length: Number(how.length ?? Infinity), head, onMove })
  // A socket of ours that ended would tell the peer that the connection has.
  const delivery = new Delivery(writer, isOwn ? writer instanceof WriteStream : end, (bytes) => {
    meter.accept(bytes)
  })
  const unwatch = watch(() => meter.accepted, { onProgress })
  try {
    await pipeline(meter, delivery, signal ? { signal } : {})
  } catch (error) {
    await delivery.settle(!isOwn && !end)
    const residual = putBack(source, reader, meter.rest, !end)
    const bytes = meter.accepted
    const progress = residual === undefined ? { bytes } : { bytes, residual }
    how.onFailure?.(progress)
    if (end) destroy(writer, error as Error)
    if (signal?.aborted) throw abortError(signal, progress)
    throw Object.assign(error as Error, progress, { side: meter.sourceFailed ? 'source' : 'sink' })
  } finally {
    unwatch()
    if (isOwn) writer.destroy()
    if (source.kind === 'descriptor') reader.destroy()
  }
  return meter.taken
}

function open(
  source: SourceKind,
  sink: SinkKind,
  how: StreamTransfer,
): { reader: Readable; writer: Writable } {
  const reader = readerOf(source, how)
  try {
    const writer = writerOf(sink, how.sinkStart)
    // Whatever still happens to it when the promise has told.
    if (sink.kind === 'descriptor') writer.on('error', ignore)
    return { reader, writer }
  } catch (error) {
    if (source.kind === 'descriptor') reader.destroy()
    throw error
  }
}

function ignore(): void {
  // The promise tells.
}
