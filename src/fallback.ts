// The same promise by node:stream: for what has no descriptor, or one that the kernel paths must leave alone.

import { createReadStream, createWriteStream } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { abortError, type Fallback } from './errors.js'
import type { TransferResult } from './move.js'
import type { Bytes } from './options.js'
import { watch, type ProgressReport } from './pulse.js'

/** What is wanted, and why the kernel did not do it. */
export interface StreamTransfer {
  start: Bytes | undefined
  sinkStart: Bytes | undefined
  length: Bytes | undefined
  end: boolean
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
  fallbacks: readonly Fallback[]
}

/** Pipes a source into a sink, as far as the length goes. */
export async function transferByStream(
  source: SourceKind,
  sink: SinkKind,
  how: StreamTransfer,
): Promise<TransferResult> {
  const { signal, end, onProgress, fallbacks } = how
  const meter = { bytes: 0, left: how.length === undefined ? Infinity : Number(how.length) }
  const [reader, writer] = [readerOf(source, how.start), writerOf(sink, how.sinkStart)]
  const unwatch = watch(() => meter.bytes, { onProgress })
  try {
    await pipeline(metered(reader, meter), writer, { end, ...(signal ? { signal } : {}) })
    if (end) await finished(writer)
  } catch (error) {
    throw signal?.aborted
      ? abortError(signal, { bytes: meter.bytes })
      : Object.assign(error as Error, { bytes: meter.bytes })
  } finally {
    unwatch()
    if (end || source.kind === 'descriptor') reader.destroy()
  }
  onProgress?.({ bytes: meter.bytes })
  return { bytes: meter.bytes, mechanism: 'stream', fallbacks }
}

/** What is read beyond the length goes back into the source, which stays as it is. */
async function* metered(source: Readable, meter: { bytes: number; left: number }): AsyncGenerator<Buffer> {
  if (meter.left === 0) return
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array | string)
    const wanted = bytes.subarray(0, Math.min(bytes.length, meter.left))
    if (wanted.length < bytes.length) source.unshift(bytes.subarray(wanted.length))
    meter.bytes += wanted.length
    meter.left -= wanted.length
    yield wanted
    if (meter.left === 0) return
  }
}

function readerOf(source: SourceKind, start: Bytes | undefined): Readable {
  if (source.kind !== 'descriptor') return source.stream
  return createReadStream('', {
    fd: source.fd,
    autoClose: false,
    ...(start === undefined ? {} : { start: Number(start) }),
  })
}

function writerOf(sink: SinkKind, start: Bytes | undefined): Writable {
  if (sink.kind === 'descriptor') {
    return createWriteStream('', {
      fd: sink.fd,
      autoClose: false,
      ...(start === undefined ? {} : { start: Number(start) }),
    })
  }
  return sink.kind === 'socket' ? sink.socket : sink.kind === 'response' ? sink.res : sink.stream
}
