// One system call each, with the arguments of its man page: as a promise, and synchronously.
//
// The synchronous ones make the call and throw as `fs.*Sync` throws, EAGAIN included. The others make it as soon as it
// can be made without waiting. Both move what one call moves; anything longer is `transfer`.

import { make } from './calls.js'
import { descriptor } from './endpoint/classify.js'
import { invalidType, outOfRange, systemError } from './errors.js'
import { checkBytes, type Bytes } from './options.js'
import { quietBinding } from './quiet.js'

/** A descriptor, or an object that has one: a `FileHandle`, an end of a `Pipe`. */
export type Descriptor = number | { readonly fd: number }

/**
 * Moves up to `count` bytes of a file to anything that can be written, by reference to its pages: sendfile(2).
 *
 * The call is made at once where it needs not wait. Otherwise it is made off the JavaScript thread: when the sink has
 * room, and on a thread that may wait for a disk where the source is not in memory or the sink is a file. The process
 * lives until then. Of its descriptors the call keeps duplicates; closing an end of a `Pipe` rejects the calls that
 * wait on it with ECANCELED.
 *
 * @param sink nonblocking, or a file
 * @param offset where to read; `null`: at the file's position, which then moves
 * @param count at most so many bytes; one call may move less
 * @returns bytes moved; 0 at the end of the file only
 * @throws what the kernel says, except EAGAIN; ERR_ZCIO_UNSUPPORTED for a descriptor that is blocking, ERR_ZCIO_BUSY
 * where another call or transfer is under way on the same sink
 */
export async function sendfile(
  sink: Descriptor,
  source: Descriptor,
  offset: Bytes | null,
  count: Bytes,
): Promise<number> {
  const to = descriptor('sink', sink)
  const from = descriptor('source', source)
  const [here, most] = [optional('offset', offset), required('count', count)]
  return make('sendfile', [sink, source], (calls, id) => calls.sendfile(id, to, from, here, most))
}

/**
 * Moves up to `length` bytes between a pipe and anything else, by reference where the kernel can: splice(2).
 * One of the two has to be a pipe. It waits, and fails, as {@link sendfile} does.
 *
 * @param source nonblocking, a file, or a pipe of either mode; so is the sink
 * @param sourceOffset where to read; `null`: at its position, which then moves; pipes and sockets have none
 * @param flags `constants.SPLICE_F_*`; SPLICE_F_NONBLOCK is implied
 * @returns bytes moved; 0 at the end of the source, and of a socket at an urgent byte of TCP, which only read(2) passes
 */
export async function splice(
  source: Descriptor,
  sourceOffset: Bytes | null,
  sink: Descriptor,
  sinkOffset: Bytes | null,
  length: Bytes,
  flags = 0,
): Promise<number> {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  const [here, there] = [optional('sourceOffset', sourceOffset), optional('sinkOffset', sinkOffset)]
  const [most, bits] = [required('length', length), checkFlags(flags)]
  return make('splice', [source, sink], (calls, id) => calls.splice(id, from, here, to, there, most, bits))
}

/**
 * Duplicates up to `length` bytes of one pipe into another without taking them out: tee(2). Calling it again
 * duplicates the same bytes; take them out with {@link splice} or `Pipe.readSync`. It waits, and fails, as
 * {@link sendfile} does.
 *
 * @param flags `constants.SPLICE_F_*`; SPLICE_F_NONBLOCK is implied
 * @returns bytes duplicated; 0 only when the source is empty and nobody writes to it any more
 */
export async function tee(source: Descriptor, sink: Descriptor, length: Bytes, flags = 0): Promise<number> {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  const [most, bits] = [required('length', length), checkFlags(flags)]
  return make('tee', [source, sink], (calls, id) => calls.tee(id, from, to, most, bits))
}

/**
 * Copies up to `length` bytes between two regular files, leaving the how to their file system: copy_file_range(2).
 * The call is made on a thread that may wait for a disk; the process lives until then.
 *
 * @param sourceOffset where to read; `null`: at the file's position, which then moves; the same for the sink
 * @returns bytes copied; 0 at the end of the source only
 */
export async function copyFileRange(
  source: Descriptor,
  sourceOffset: Bytes | null,
  sink: Descriptor,
  sinkOffset: Bytes | null,
  length: Bytes,
): Promise<number> {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  const [here, there] = [optional('sourceOffset', sourceOffset), optional('sinkOffset', sinkOffset)]
  const most = required('length', length)
  return make('copy_file_range', [source, sink], (calls, id) =>
    calls.copyFileRange(id, from, here, to, there, most),
  )
}

/**
 * {@link sendfile}, on this thread and at once: it waits for a disk, and for a sink that is blocking.
 *
 * @param offset where to read; `null`: at the file's position, which then moves
 * @param count at most 0x7ffff000 bytes are moved by one call
 * @returns bytes moved; 0 at the end of the file
 * @throws what the kernel says, EAGAIN included
 */
export function sendfileSync(
  sink: Descriptor,
  source: Descriptor,
  offset: Bytes | null,
  count: Bytes,
): number {
  const to = descriptor('sink', sink)
  const from = descriptor('source', source)
  return moved(
    quietBinding().sendfile(to, from, optional('offset', offset), required('count', count)),
    'sendfile',
  )
}

/**
 * {@link splice}, on this thread and at once: it waits for a disk, and for what is blocking.
 *
 * @param flags `constants.SPLICE_F_*`
 * @returns bytes moved; 0 at the end of the source
 * @throws what the kernel says, EAGAIN included
 */
export function spliceSync(
  source: Descriptor,
  sourceOffset: Bytes | null,
  sink: Descriptor,
  sinkOffset: Bytes | null,
  length: Bytes,
  flags = 0,
): number {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  const [here, there] = [optional('sourceOffset', sourceOffset), optional('sinkOffset', sinkOffset)]
  return moved(
    quietBinding().splice(from, here, to, there, required('length', length), checkFlags(flags)),
    'splice',
  )
}

/**
 * {@link tee}, on this thread and at once: it waits for what is blocking.
 *
 * @returns bytes duplicated; 0 when the source is empty and nobody writes to it any more
 * @throws what the kernel says, EAGAIN included
 */
export function teeSync(source: Descriptor, sink: Descriptor, length: Bytes, flags = 0): number {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  return moved(quietBinding().tee(from, to, required('length', length), checkFlags(flags)), 'tee')
}

/**
 * {@link copyFileRange}, on this thread, which waits for the disk.
 *
 * @param sourceOffset where to read; `null`: at the file's position, which then moves; the same for the sink
 * @returns bytes copied; 0 at the end of the source
 */
export function copyFileRangeSync(
  source: Descriptor,
  sourceOffset: Bytes | null,
  sink: Descriptor,
  sinkOffset: Bytes | null,
  length: Bytes,
): number {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  const [here, there] = [optional('sourceOffset', sourceOffset), optional('sinkOffset', sinkOffset)]
  return moved(
    quietBinding().copyFileRange(from, here, to, there, required('length', length)),
    'copy_file_range',
  )
}

/** The count of a call, or the error it failed with. */
export function moved(result: number, syscall: string): number {
  if (result < 0) throw systemError(-result, syscall)
  return result
}

/** Checks `flags`: a bit mask. */
export function checkFlags(flags: unknown): number {
  if (typeof flags !== 'number') throw invalidType('flags', 'a number', flags)
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffff_ffff) {
    throw outOfRange('flags', 'an integer >= 0 and <= 4294967295', flags)
  }
  return flags
}

/** As the binding takes it: negative for the descriptor's own position. */
function optional(name: string, offset: unknown): Bytes {
  return offset === null ? -1 : required(name, offset)
}

function required(name: string, value: unknown): Bytes {
  const bytes = checkBytes(name, value)
  if (bytes === undefined) throw invalidType(name, 'a number or a bigint', value)
  return bytes
}
