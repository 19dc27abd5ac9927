// Each kind of end as a stream of Node's: for what the engine must leave alone.
//
// A stream closes its descriptor when it is done or fails, so those made here have duplicates.

import fs, { createReadStream, createWriteStream, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants as os } from 'node:os'
import { Readable, type Writable } from 'node:stream'
import { binding } from '../binding.js'
import { systemError, zcioError, type Side } from '../errors.js'
import type { Bytes } from '../options.js'
import { streamOf, type SinkKind, type SourceKind } from './classify.js'
import { NO_HEAD } from './lent.js'
import { gone } from './wait.js'

/** What of a source is wanted. */
interface Part {
  start: Bytes | undefined
  length: Bytes | undefined
}

/** A source as a stream, from `start` on and, of a file, as far as `length` goes. */
export function readerOf(source: SourceKind, { start, length }: Part): Readable {
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
    ...file(source.fd, 'source'),
    ...(start === undefined ? {} : { start: first }),
    // Of a length of 0 nothing is read at all.
    ...(last < first ? {} : { end: last }),
  })
}

/** A sink as a stream. */
export function writerOf(sink: SinkKind, start: Bytes | undefined): Writable {
  if (sink.kind !== 'descriptor') {
    if (start !== undefined) throw unseekable('sink')
    const writer = sink.kind === 'socket' ? sink.socket : sink.kind === 'response' ? sink.res : sink.stream
    checkWritable(writer)
    return writer
  }
  if (canWait(sink.fd)) {
    if (start !== undefined) throw unseekable('sink')
    return socketOn(duplicate(sink.fd, 'sink'), 'sink')
  }
  return createWriteStream('', {
    ...file(sink.fd, 'sink'),
    ...(start === undefined ? {} : { start: Number(start) }),
  })
}

/**
 * Puts bytes back that were taken from a source and not accepted by a sink, if the source lives on. Where they cannot be,
 * returns them. A file can be read again, so of one there are none.
 */
export function putBack(
  source: SourceKind,
  reader: Readable,
  rest: Buffer,
  livesOn: boolean,
): Buffer | undefined {
  if (source.kind === 'descriptor')
    return isSeekable(source.fd) ? undefined : residue(rest, readAhead(reader))
  const isOriginal = reader === streamOf(source)
  const canTake = livesOn && isOriginal && reader.readable && reader.readableEncoding === null
  if (canTake && rest.length > 0) reader.unshift(rest)
  return canTake ? undefined : residue(rest)
}

function residue(...parts: Buffer[]): Buffer | undefined {
  const rest = Buffer.concat(parts)
  return rest.length > 0 ? rest : undefined
}

/** What a stream of ours has read that nobody has taken. */
function readAhead(reader: Readable): Buffer {
  return (reader.readableLength > 0 ? (reader.read() as Buffer | null) : null) ?? NO_HEAD
}

function isSeekable(fd: number): boolean {
  try {
    const stat = fstatSync(fd)
    return stat.isFile() || stat.isBlockDevice()
  } catch {
    // It has been closed meanwhile: nobody can read it again.
    return false
  }
}

/** Throws where a stream takes nothing any more: one that has finished tells nobody once more. */
export function checkWritable(writer: Writable): void {
  // Not everything that has the methods of a Writable has its properties.
  const { destroyed, writableEnded, writable } = writer as Partial<Writable>
  if (destroyed || writableEnded || writable === false) throw gone(writer, 'sink')
}

/** A file by a duplicate; where there can be no more of them by the lender's own descriptor, which stays open. */
function file(fd: number, side: Side): { fd: number; fs: typeof closingOurs } {
  const own = binding().duplicateEntrusted(fd)
  if (own >= 0) return { fd: own, fs: closingOurs }
  if (own === -os.errno.EMFILE || own === -os.errno.ENFILE) return { fd, fs: closingNothing }
  throw systemError(-own, 'fcntl', { side })
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

const closingNothing: typeof closingOurs = {
  ...closingOurs,
  close: (_: number, done) => done?.(null),
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
