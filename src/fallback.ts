// The same promise by node:stream: for what has no descriptor, or one that the kernel paths must leave alone.

import { fstatSync, WriteStream } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { readerOf, writerOf } from './endpoint/stream.js'
import { written } from './endpoint/wait.js'
import { abortError, type Fallback } from './errors.js'
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
}

interface Ends {
  reader: Readable
  writer: Writable
  /** The writer, if it is ours and writes a file: the write under way is then soon over. */
  file: Writable | undefined
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
  const { signal, end = true, onProgress } = how
  const { reader, writer, file } = open(source, sink, how)
  const isOwn = sink.kind === 'descriptor'
  const meter = new Meter(reader, writer, Number(how.length ?? Infinity))
  const unwatch = watch(() => meter.bytes, { onProgress })
  try {
    // A socket of ours that ended would tell the peer that the connection has.
    await pipe(meter, writer, isOwn ? writer instanceof WriteStream : end, signal)
  } catch (error) {
    if (file && !file.closed) await new Promise((resolve) => file.once('close', resolve))
    const bytes = isOwn && writer instanceof WriteStream ? writer.bytesWritten : meter.bytes
    if (signal?.aborted) throw abortError(signal, { bytes })
    throw Object.assign(error as Error, { bytes, side: meter.sourceFailed ? 'source' : 'sink' })
  } finally {
    unwatch()
    if (isOwn) writer.destroy()
    if (source.kind === 'descriptor') reader.destroy()
  }
  return meter.taken
}

/** Resolves when the writer is through with everything, and, with `end`, has ended. */
async function pipe(
  meter: Meter,
  writer: Writable,
  end: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const look = (): void => {
    meter.look()
  }
  signal?.addEventListener('abort', look)
  // Of a duplex stream, only the half that is written has to finish. Afterwards it were too late to listen: stdout is
  // as if it had never ended.
  const ended = finished(writer, { readable: false })
  ended.catch(ignore)
  try {
    await pipeline(meter, writer, { end, ...(signal ? { signal } : {}) })
    if (end) await ended
    else if (!writer.writableObjectMode) await written(writer, signal)
  } finally {
    signal?.removeEventListener('abort', look)
  }
}

function open(source: SourceKind, sink: SinkKind, how: StreamTransfer): Ends {
  const reader = readerOf(source, how)
  try {
    const writer = writerOf(sink, how.sinkStart)
    const isFile = sink.kind === 'descriptor' && fstatSync(sink.fd).isFile()
    return { reader, writer, file: isFile ? writer : undefined }
  } catch (error) {
    if (source.kind === 'descriptor') reader.destroy()
    throw error
  }
}

function ignore(): void {
  // The pipeline tells.
}
