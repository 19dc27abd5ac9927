// The same promise by node:stream: for what has no descriptor, or one that the kernel paths must leave alone.
//
// A stream closes its descriptor when it is done or fails, so those made here have duplicates.

import fs, { createReadStream, createWriteStream, fstatSync, WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { Readable, type Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { binding } from './binding.js'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { written } from './endpoint/wait.js'
import { abortError, systemError, zcioError, type Fallback, type Side } from './errors.js'
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
  try {
    await pipeline(meter, writer, { end, ...(signal ? { signal } : {}) })
    // Of a duplex stream, only the half that is written has to finish.
    if (end) await finished(writer, { readable: false })
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

function readerOf(source: SourceKind, { start, length }: StreamTransfer): Readable {
  if (source.kind === 'socket') source = { kind: 'stream', stream: source.socket }
  if (source.kind !== 'descriptor') {
    if (start !== undefined) throw unseekable('source')
    return source.stream instanceof Readable ? source.stream : new Readable().wrap(source.stream)
  }
  if (canWait(source.fd)) {
    if (start !== undefined) throw unseekable('source')
    if (length !== undefined) throw unlimited()
    return socketOn(duplicate(source.fd, 'source'), 'source')
  }
  const first = Number(start ?? 0)
  const last = first + Number(length ?? Infinity) - 1
  return createReadStream('', {
    fd: duplicate(source.fd, 'source'),
    fs: closingOurs,
    ...(start === undefined ? {} : { start: first }),
    // Of a length of 0 nothing is read at all.
    ...(last < first ? {} : { end: last }),
  })
}

function writerOf(sink: SinkKind, start: Bytes | undefined): Writable {
  if (sink.kind !== 'descriptor') {
    if (start !== undefined) throw unseekable('sink')
    return sink.kind === 'socket' ? sink.socket : sink.kind === 'response' ? sink.res : sink.stream
  }
  if (canWait(sink.fd)) {
    if (start !== undefined) throw unseekable('sink')
    return socketOn(duplicate(sink.fd, 'sink'), 'sink')
  }
  const fd = duplicate(sink.fd, 'sink')
  return createWriteStream('', {
    fd,
    fs: closingOurs,
    ...(start === undefined ? {} : { start: Number(start) }),
  })
}

/** Node warns when a worker thread has it close a descriptor that it has not opened. */
const closingOurs = {
  open: fs.open,
  read: fs.read,
  write: fs.write,
  close: (fd: number, done?: (error: null) => void): void => {
    binding().close(fd)
    done?.(null)
  },
}

/** Whether it answers EAGAIN until its peer has done something, which file streams cannot wait for. */
function canWait(fd: number): boolean {
  if (!binding().isNonblocking(fd)) return false
  const stat = fstatSync(fd)
  return stat.isFIFO() || stat.isSocket()
}

function duplicate(fd: number, side: Side): number {
  const own = binding().duplicate(fd)
  if (own < 0) throw systemError(-own, 'fcntl', { side })
  return own
}

function socketOn(fd: number, side: Side): Socket {
  try {
    return new Socket({ fd, readable: side === 'source', writable: side === 'sink' })
  } catch (cause) {
    binding().close(fd)
    const message = 'neither a pipe nor a socket that carries a stream of bytes'
    throw zcioError('ERR_ZCIO_UNSUPPORTED', message, { side, cause })
  }
}

function unseekable(side: Side): Error {
  return systemError(os.errno.ESPIPE, 'lseek', { side })
}

/** Node would read ahead, and what it has taken from a pipe cannot be put back. */
function unlimited(): Error {
  const message =
    'a nonblocking pipe or socket cannot be read to a length by a stream; pass a net.Socket made of it'
  return zcioError('ERR_ZCIO_UNSUPPORTED', message, { side: 'source' })
}
