// The file behind a body: opened, asked what it is, and cut to the wanted range.
//
// One native call opens and asks, and reads what is small and in memory into the scratch buffer; what the kernel
// would have to wait for is opened on Node's thread pool instead.

import { constants, open } from 'node:fs'
import { constants as os } from 'node:os'
import { binding } from '../binding.js'
import { descriptor } from '../endpoint/classify.js'
import { systemError, zcioError } from '../errors.js'

/** A wanted range of a file, ready to be sent. */
export interface Body {
  /** The file, or -1 where the whole range is in the scratch buffer. */
  fd: number
  /** Whether we opened it, and close it. */
  owned: boolean
  /** First byte. */
  start: number
  /** Bytes; what the head declares. */
  length: number
}

/** An inclusive range, as of fs.createReadStream. */
export interface Range {
  start: number
  end: number
}

/** Where the body begins in the scratch buffer; the head is put right before it, so that both leave in one call. */
export const BODY = 16 * 1024

/** One read of a small file, and its head. Used and done with inside one turn of the event loop. */
export const scratch = Buffer.allocUnsafeSlow(2 * BODY)

/** What the native half tells about a file: doubles at the start of the scratch buffer. */
const fields = new Float64Array(scratch.buffer, 0, 4)
const SIZE = 0
const KIND = 2
const READ = 3

/** The room for a head, behind the fields. */
export const HEAD_ROOM = BODY - fields.byteLength

const REGULAR = 1
const DIRECTORY = 2

/** Opens a body if that needs no waiting; undefined where it does, or where opening it failed. */
export function openBodyNow(path: string, range: Range): Body | undefined {
  const fd = binding().openFile(path, range.start, range.end, scratch)
  if (fd < 0) return undefined
  if (fields[READ] !== -1) return cut({ fd: -1, owned: false }, range)
  return accept({ fd, owned: true }, range, path)
}

/** Opens a body on Node's thread pool, or takes the open file that it is; never reads. */
export async function openBody(file: unknown, range: Range): Promise<Body> {
  if (typeof file === 'string') return checked({ fd: await openLater(file), owned: true }, range, file)
  const fd = descriptor('file', file, 'a path, a FileHandle or a descriptor')
  return checked({ fd, owned: false }, range)
}

/** Closes what we opened. */
export function closeBody({ fd, owned }: Body): void {
  if (owned) binding().close(fd)
}

function openLater(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    // O_NONBLOCK: the opening of a FIFO must not wait for its writer.
    open(path, constants.O_RDONLY | constants.O_NONBLOCK, (error, fd) => {
      if (error) reject(Object.assign(error, { bytes: 0, side: 'source' }))
      else resolve(fd)
    })
  })
}

function checked(file: Pick<Body, 'fd' | 'owned'>, range: Range, path?: string): Body {
  const errno = binding().statFile(file.fd, scratch)
  if (errno < 0) throw systemError(-errno, 'fstat', { side: 'source' })
  return accept(file, range, path)
}

/** Only a regular file has a length to declare. */
function accept(file: Pick<Body, 'fd' | 'owned'>, range: Range, path?: string): Body {
  if (fields[KIND] === REGULAR) return cut(file, range)
  closeBody({ ...file, start: 0, length: 0 })
  if (fields[KIND] === DIRECTORY) throw systemError(os.errno.EISDIR, 'read', { side: 'source' })
  const what = path === undefined ? 'this descriptor' : `'${path}'`
  throw zcioError(
    'ERR_ZCIO_UNSUPPORTED',
    `${what} is not a regular file: only those have a length that a head can declare`,
    { side: 'source' },
  )
}

function cut({ fd, owned }: Pick<Body, 'fd' | 'owned'>, { start, end }: Range): Body {
  const size = fields[SIZE] ?? 0
  const first = Math.min(start, size)
  return { fd, owned, start: first, length: Math.min(end + 1, size) - first }
}
