// One system call each, synchronous, with the arguments of its man page. They throw as `fs.*Sync` throws, EAGAIN
// included, and move what one call moves; anything longer is `transfer`.

import { binding } from './binding.js'
import { descriptor } from './endpoint/classify.js'
import { invalidType, outOfRange, systemError } from './errors.js'
import { checkBytes, type Bytes } from './options.js'

/** A descriptor, or an object that has one: a `FileHandle`, an end of a `Pipe`. */
export type Descriptor = number | { readonly fd: number }

/**
 * Moves up to `count` bytes of a file to anything that can be written, by reference to its pages: sendfile(2).
 *
 * @param offset where to read; `null`: at the file's position, which then moves
 * @param count at most 0x7ffff000 bytes are moved by one call
 * @returns bytes moved; 0 at the end of the file
 */
export function sendfileSync(
  sink: Descriptor,
  source: Descriptor,
  offset: Bytes | null,
  count: Bytes,
): number {
  const to = descriptor('sink', sink)
  const from = descriptor('source', source)
  return moved(binding().sendfile(to, from, optional('offset', offset), required('count', count)), 'sendfile')
}

/**
 * Moves up to `length` bytes between a pipe and anything else, by reference where the kernel can: splice(2).
 * One of the two has to be a pipe.
 *
 * @param flags `constants.SPLICE_F_*`
 * @returns bytes moved; 0 at the end of the source
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
    binding().splice(from, here, to, there, required('length', length), checkFlags(flags)),
    'splice',
  )
}

/**
 * Duplicates up to `length` bytes of one pipe into another without taking them out: tee(2). Calling it again
 * duplicates the same bytes; take them out with `spliceSync` or `Pipe.readSync`.
 *
 * @returns bytes duplicated; 0 when the source is empty and nobody writes to it any more
 */
export function teeSync(source: Descriptor, sink: Descriptor, length: Bytes, flags = 0): number {
  const from = descriptor('source', source)
  const to = descriptor('sink', sink)
  return moved(binding().tee(from, to, required('length', length), checkFlags(flags)), 'tee')
}

/**
 * Copies up to `length` bytes between two regular files, leaving the how to their file system: copy_file_range(2).
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
  return moved(binding().copyFileRange(from, here, to, there, required('length', length)), 'copy_file_range')
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

function optional(name: string, offset: unknown): Bytes | null {
  return offset === null ? null : required(name, offset)
}

function required(name: string, value: unknown): Bytes {
  const bytes = checkBytes(name, value)
  if (bytes === undefined) throw invalidType(name, 'a number or a bigint', value)
  return bytes
}
