// Memory that can be given to a pipe without copying, and the giving: vmsplice(2).
//
// A pipe refers to the pages themselves until the last reader is through with them. Memory of Node's heap could be
// freed and handed to somebody else meanwhile, whose bytes the reader would then see; so only pages from
// `allocPages` are taken, and by default they are taken for good.

import { constants as os } from 'node:os'
import { binding } from './binding.js'
import { descriptor } from './endpoint/classify.js'
import { invalidType, invalidValue, outOfRange, systemError, zcioError } from './errors.js'
import { checkBoolean, checkOptions } from './options.js'
import { checkFlags, moved, type Descriptor } from './primitives.js'

/** Options of {@link vmspliceSync}. */
export interface VmspliceOptions {
  /**
   * Keep the pages, because their content is constant: what is written to them later is seen by the pipe's reader.
   * Default: `false`: the buffers are taken away (length 0).
   */
  keep?: boolean
  /** `constants.SPLICE_F_*`. Nonblocking is `SPLICE_F_NONBLOCK` here: vmsplice(2) ignores O_NONBLOCK. */
  flags?: number
}

/** Buffers to give, or to fill on the reading end. */
export type PageBuffers = Buffer | readonly Buffer[]

/** How many pieces of memory the kernel takes in one call. */
const IOV_MAX = 1024

/**
 * Memory for `vmspliceSync`: zeroed, page-aligned, a mapping of its own, unmapped when the Buffer is collected or
 * given away. Where the runtime refuses memory from outside its heap (Electron), it throws ERR_ZCIO_UNSUPPORTED.
 *
 * @param length bytes, from 1 to 2 GiB; a multiple of the page size wastes none
 */
export function allocPages(length: number): Buffer {
  if (typeof length !== 'number') throw invalidType('length', 'a number', length)
  if (!Number.isInteger(length) || length < 1 || length > 0x8000_0000) {
    throw outOfRange('length', 'an integer >= 1 and <= 2147483648', length)
  }
  const buffer = binding().allocPages(length)
  if (typeof buffer === 'number') throw systemError(-buffer, 'mmap')
  if (buffer === null)
    throw zcioError('ERR_ZCIO_UNSUPPORTED', 'this runtime refuses buffers outside its own heap')
  return buffer
}

/**
 * Gives pages to a pipe without copying them, or, on a pipe's reading end, fills them: vmsplice(2).
 *
 * Without `keep` it gives all of the buffers or nothing: EAGAIN where the pipe may not have room for every page,
 * a RangeError where it never will (grow it with `Pipe.setCapacity`). With `keep` it moves what fits.
 *
 * @returns bytes moved
 */
export function vmspliceSync(pipe: Descriptor, pages: PageBuffers, options?: VmspliceOptions): number {
  const { keep, flags } = checkOptions(options, ['keep', 'flags'])
  const fd = descriptor('pipe', pipe)
  const buffers = checkPages(pages)
  const bits = checkFlags(flags ?? 0)
  const isReader = binding().isReader(fd)
  if (isReader) return moved(binding().vmspliceRead(fd, buffers, bits), 'vmsplice')
  if (checkBoolean('options.keep', keep) ?? false)
    return moved(binding().vmsplice(fd, buffers, bits), 'vmsplice')
  return give(fd, buffers, bits)
}

function give(fd: number, buffers: Buffer[], flags: number): number {
  for (const buffer of buffers) checkWhole(buffer)
  checkRoom(fd, buffers)
  const count = moved(binding().vmsplice(fd, buffers, flags), 'vmsplice')
  for (const memory of new Set(buffers.map(({ buffer }) => buffer))) binding().detach(memory as ArrayBuffer)
  return count
}

/** Half a mapping cannot be taken away, nor can one that others hold parts of. */
function checkWhole(buffer: Buffer): void {
  if (buffer.byteLength === buffer.buffer.byteLength) return
  throw invalidValue(
    'pages',
    buffer,
    'must be whole buffers of allocPages to be given away; parts of one need { keep: true }',
  )
}

function checkRoom(fd: number, buffers: Buffer[]): void {
  if (buffers.length > IOV_MAX) throw outOfRange('pages', `at most ${IOV_MAX} buffers`, buffers.length)
  const { pageSize } = binding()
  const needed = buffers.reduce((sum, buffer) => sum + Math.ceil(buffer.byteLength / pageSize()), 0)
  const slots = moved(binding().pipeCapacity(fd), 'fcntl') / pageSize()
  if (needed > slots) {
    throw outOfRange(
      'pages',
      `at most ${slots} pages, the pipe's capacity; grow it with Pipe.setCapacity`,
      needed,
    )
  }
  // Bytes in the pipe may take a slot each: only an empty one is sure to have room.
  if (moved(binding().buffered(fd), 'ioctl') > 0) throw systemError(os.errno.EAGAIN, 'vmsplice')
}

function checkPages(pages: unknown): Buffer[] {
  const buffers: unknown[] = Array.isArray(pages) ? pages : [pages]
  for (const buffer of buffers) {
    if (!Buffer.isBuffer(buffer) || !binding().isPages(buffer)) {
      throw invalidType(
        'pages',
        'memory from allocPages (for other memory there is Pipe.writeSync, which copies)',
        buffer,
      )
    }
  }
  return buffers as Buffer[]
}
