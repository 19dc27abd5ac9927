// Memory that can be given to a pipe without copying, and the giving: vmsplice(2).
//
// A pipe refers to the pages themselves until the last reader is through with them. Memory of Node's heap could be
// freed and handed to somebody else meanwhile, whose bytes the reader would then see; so only pages from
// `allocPages` are taken, and by default they are taken for good.

import { constants as os } from 'node:os'
import { binding } from './binding.js'
import { make } from './calls.js'
import { constants } from './capabilities.js'
import { descriptor } from './endpoint/classify.js'
import { invalidType, invalidValue, outOfRange, systemError, zcioError } from './errors.js'
import { checkBoolean, checkOptions } from './options.js'
import { checkFlags, moved, type Descriptor } from './primitives.js'
import { quietBinding } from './quiet.js'

/** Options of {@link vmsplice} and {@link vmspliceSync}. */
export interface VmspliceOptions {
  /**
   * Keep the pages, because their content is constant: what is written to them later is seen by the pipe's reader.
   * Default: `false`: the buffers are taken away (length 0). Only constant data pays: pages that are made, filled and
   * given away each time cost several times what writing them does.
   */
  keep?: boolean
  /**
   * `constants.SPLICE_F_*`. To {@link vmspliceSync} nonblocking is `SPLICE_F_NONBLOCK`, for vmsplice(2) ignores
   * O_NONBLOCK; to {@link vmsplice} it is implied.
   */
  flags?: number
}

/** Buffers to give, or to fill on the reading end. */
export type PageBuffers = Buffer | readonly Buffer[]

/** How many pieces of memory the kernel takes in one call. */
const IOV_MAX = 1024

/**
 * Memory for {@link vmsplice}: zeroed, page-aligned, a mapping of its own, unmapped when the Buffer is collected or
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
 * Without `keep` the buffers are taken away at once (length 0), and all of them are given, however many and however
 * small the pipe: it resolves when the last page is in the pipe. With `keep`, and on the reading end, it resolves with
 * what one call moved, and the buffers must be left alone until then. The process lives meanwhile; closing the end
 * rejects with ECANCELED.
 *
 * @param pipe an end of a pipe, blocking or not
 * @returns bytes moved; on the reading end 0 when the pipe is empty and nobody writes to it any more
 * @throws what the kernel says, except EAGAIN; `bytes` are those given by then, and without any the buffers stay;
 * ERR_ZCIO_BUSY where another call or transfer is under way on this end
 */
export async function vmsplice(
  pipe: Descriptor,
  pages: PageBuffers,
  options?: VmspliceOptions,
): Promise<number> {
  const { fd, buffers, flags, isReader, keep } = checkArguments(pipe, pages, options)
  if (!isReader && !keep && buffers.length > 0) return giveAll(pipe, fd, buffers, flags)
  for (;;) {
    const ready = make('vmsplice', [pipe], (calls, id) => calls.wait(id, descriptor('pipe', pipe), isReader))
    if (typeof ready !== 'number') await ready
    const count = once(descriptor('pipe', pipe), buffers, flags | constants.SPLICE_F_NONBLOCK, isReader)
    if (count !== -os.errno.EAGAIN) return moved(count, 'vmsplice')
  }
}

/**
 * {@link vmsplice}, on this thread and at once.
 *
 * Without `keep` it gives all of the buffers or nothing: EAGAIN where the pipe may not have room for every page,
 * a RangeError where it never will (grow it with `Pipe.setCapacity`). With `keep` it moves what fits.
 *
 * @returns bytes moved
 */
export function vmspliceSync(pipe: Descriptor, pages: PageBuffers, options?: VmspliceOptions): number {
  const { fd, buffers, flags, isReader, keep } = checkArguments(pipe, pages, options)
  if (!isReader && !keep) return giveNow(fd, buffers, flags)
  return moved(once(fd, buffers, flags, isReader), 'vmsplice')
}

function checkArguments(
  pipe: Descriptor,
  pages: unknown,
  options: VmspliceOptions | undefined,
): { fd: number; buffers: Buffer[]; flags: number; isReader: boolean; keep: boolean } {
  const { keep = false, flags = 0 } = checkOptions(options, ['keep', 'flags'])
  const fd = descriptor('pipe', pipe)
  const buffers = checkPages(pages)
  checkFlags(flags)
  checkBoolean('options.keep', keep)
  return { fd, buffers, flags, isReader: binding().isReader(fd), keep }
}

function once(fd: number, buffers: Buffer[], flags: number, isReader: boolean): number {
  const native = quietBinding()
  return isReader ? native.vmspliceRead(fd, buffers, flags) : native.vmsplice(fd, buffers, flags)
}

function giveAll(pipe: Descriptor, fd: number, buffers: Buffer[], flags: number): number | Promise<number> {
  for (const buffer of buffers) checkWhole(buffer)
  return make('vmsplice', [pipe], (calls, id) => {
    const answer = calls.give(id, fd, buffers, flags)
    if (answer === null || typeof answer === 'number') takeAway(buffers)
    return answer
  })
}

function giveNow(fd: number, buffers: Buffer[], flags: number): number {
  for (const buffer of buffers) checkWhole(buffer)
  checkRoom(fd, buffers)
  const count = moved(quietBinding().vmsplice(fd, buffers, flags), 'vmsplice')
  takeAway(buffers)
  return count
}

function takeAway(buffers: Buffer[]): void {
  for (const memory of new Set(buffers.map(({ buffer }) => buffer))) binding().detach(memory as ArrayBuffer)
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
