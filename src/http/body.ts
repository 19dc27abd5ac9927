// The file behind a body: opened, asked what it is, and cut to the wanted range.
//
// One native call opens and asks, and reads what is small and in memory into the scratch buffer; what the kernel
// would have to wait for is opened on Node's thread pool instead.

import { closeSync, constants, fstatSync, open } from 'node:fs'
import { constants as os } from 'node:os'
import { binding, unavailable } from '../binding.js'
import { descriptor } from '../endpoint/classify.js'
import { systemError, zcioError } from '../errors.js'

/** An open file. */
export interface OpenFile {
  /** Its descriptor; -1 where it has been read whole and closed. */
  fd: number
  /** Who closes it: whoever opened it, since Node and the binding each keep an account, for threads that end midway. */
  owner: 'caller' | 'node' | 'binding'
  /** The caller's, who may close it at any time; its number is then another file's. */
  handle: Handle | undefined
}

interface Handle {
  readonly fd: number
}

/** A wanted range of a file, ready to be sent. */
export interface Body extends OpenFile {
  /** First byte. */
  start: number
  /** Bytes; what the head declares. */
  length: number
  /** When the file was last changed, in milliseconds since 1970, with a fraction. */
  modifiedMs: number
  /** Whether the range is in the scratch buffer: until the event loop's next turn, or another look. */
  read: boolean
  /** Whether the range is short and in memory: one call sends it without waiting. */
  resident: boolean
  /** What it was looked for as, where it is all of that. */
  wanted: Wanted | undefined
}

/** What a file is looked for as: its path, or its place beneath a root. */
export type Wanted = string | Place

/** An inclusive range, as of fs.createReadStream. */
export interface Range {
  start: number
  end: number
}

/** Where the body begins in the scratch buffer; the head is put right before it, so that both leave in one call. */
export const BODY = 16 * 1024

/**
 * A body of so many bytes is read, not sent by reference: measured with all that both ways need, reading and sending
 * what was read costs a fifth less than sendfile up to here, and from 64 KiB on nothing less.
 */
const SMALL = 32 * 1024

/** One read of a small file, and its head. Used and done with inside one turn of the event loop. */
export const scratch = Buffer.allocUnsafeSlow(BODY + SMALL)

/** What there may be for a path beneath a root: {@link lookBeneath}. */
export interface Place {
  /** From the root. */
  readonly path: string
  /** The same path from `/`, without `..`; cleared once a symbolic link is met on the way. */
  straight: string | undefined
}

/** What the native half tells about a file: doubles at the start of the scratch buffer. */
const fields = new Float64Array(scratch.buffer, 0, 5)
const SIZE = 0
const MODIFIED = 1
const KIND = 2
const READ = 3
const RESIDENT = 4

/** The room for a head, behind the fields. */
export const HEAD_ROOM = BODY - fields.byteLength

const { ELOOP, ENAMETOOLONG } = os.errno

const REGULAR = 1
const DIRECTORY = 2

/** What has been read whole is closed. */
const NOT_OPEN: OpenFile = { fd: -1, owner: 'caller', handle: undefined }

/** The whole of a file. */
export const WHOLE: Range = { start: 0, end: Infinity }

let inUse = false

/** The body that was looked at last: nothing but another look, and a cut, changes what has been read of it. */
let latest: Body | undefined

/** Whether what has been read of a body is in the scratch buffer still. */
export function isInScratch(body: Body): boolean {
  return body.read && body === latest
}

/**
 * Between the look at a file and its sending the scratch buffer is in use. A hook of the application may want to send
 * another file meanwhile: undefined; that one has to wait for another turn.
 */
export function exclusively<T>(lookAndSend: () => T): T | undefined {
  if (inUse) return undefined
  inUse = true
  try {
    return lookAndSend()
  } finally {
    inUse = false
  }
}

/** Opens a file, if that needs no waiting, and looks at it; undefined where it does, or where opening it failed. */
export function lookNow(file: unknown, range: Range): Body | undefined {
  if (typeof file !== 'string') return lookAt(given(file), range)
  const fd = binding().openFile(file, range.start, range.end, scratch)
  if (fd < 0) return undefined
  return acceptOpened(fd, range, file)
}

/**
 * The same for a regular file beneath the directory `root`, or why not, as a positive errno. `EAGAIN`: it has to be
 * waited for.
 */
export function lookBeneath(root: string, place: Place): Body | number {
  const fd = openNow(root, place)
  if (fd < 0) return -fd
  return acceptOpened(fd, WHOLE, place)
}

/** A path without links and `..` cannot leave the root, which saves opening that: a twentieth of a small response. */
function openNow(root: string, place: Place): number {
  if (place.straight !== undefined) {
    const fd = binding().openStraight(place.straight, 0, Infinity, scratch)
    if (fd !== -ELOOP && fd !== -ENAMETOOLONG) return fd
    place.straight = undefined
  }
  return binding().openBeneath(root, place.path, 0, Infinity, scratch)
}

/** Opens a regular file beneath `root` on Node's thread pool; `walk`: without openat2(2). Otherwise a positive errno. */
export async function openBeneath(root: string, path: string, walk: boolean): Promise<OpenFile | number> {
  const fd = await binding().openBeneathLater(root, path, walk)
  return fd < 0 ? -fd : { fd, owner: 'binding', handle: undefined }
}

/** Cuts a body that is a whole file to a range within it. */
export function cut(body: Body, range: Range): Body {
  if (!body.read) {
    const part = lookAt(body, range)
    body.owner = 'caller'
    return part
  }
  scratch.copyWithin(BODY, BODY + range.start, BODY + range.end + 1)
  body.start = range.start
  body.length = range.end - range.start + 1
  body.wanted = undefined
  return body
}

/** Opens a file on Node's thread pool, or takes the open one that it is. */
export async function openFile(file: unknown): Promise<OpenFile> {
  if (typeof file === 'string') return { fd: await openLater(file), owner: 'node', handle: undefined }
  return given(file)
}

function given(file: unknown): OpenFile {
  const fd = descriptor('file', file, 'a path, a FileHandle or a descriptor')
  return { fd, owner: 'caller', handle: typeof file === 'number' ? undefined : (file as Handle) }
}

/** The descriptor of a file, if that is still its own. */
export function descriptorOf({ fd, handle }: OpenFile): number {
  if (handle !== undefined && handle.fd !== fd) throw systemError(os.errno.EBADF, 'read', { side: 'source' })
  return fd
}

/** Looks at an open file. */
export function lookAt(file: OpenFile, range: Range): Body {
  if (unavailable() !== undefined) return lookByNode(file, range)
  const errno = binding().lookAtFile(descriptorOf(file), range.start, range.end, scratch)
  if (errno < 0) throw systemError(-errno, 'fstat', { side: 'source' })
  return accept(file, range)
}

/** Without the native half: enough for Node's streams. */
function lookByNode(file: OpenFile, range: Range): Body {
  const stat = fstatSync(descriptorOf(file))
  const kind = stat.isFile() ? REGULAR : stat.isDirectory() ? DIRECTORY : 0
  fields.set([stat.size, stat.mtimeMs, kind, -1, 0])
  return accept(file, range)
}

/** Closes what we opened, once. */
export function closeFile(file: OpenFile): void {
  if (file.owner === 'binding') binding().close(file.fd)
  if (file.owner === 'node') closeSync(file.fd)
  file.owner = 'caller'
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

function acceptOpened(fd: number, range: Range, wanted: Wanted): Body {
  if (fields[READ] !== -1) return accept(NOT_OPEN, range, wanted)
  return accept({ fd, owner: 'binding', handle: undefined }, range, wanted)
}

/** Only a regular file has a length to declare. */
function accept(file: OpenFile, { start, end }: Range, wanted?: Wanted): Body {
  if (fields[KIND] !== REGULAR) {
    closeFile(file)
    throw notRegular(wanted)
  }
  const size = fields[SIZE] ?? 0
  const first = Math.min(start, size)
  const length = Math.min(end + 1, size) - first
  // Spelt out: behind a spread V8 makes a new hidden class for each object, 10 µs a request.
  return (latest = {
    fd: file.fd,
    owner: file.owner,
    handle: file.handle,
    start: first,
    length,
    modifiedMs: fields[MODIFIED] ?? 0,
    read: fields[READ] !== -1,
    resident: fields[RESIDENT] === 1,
    wanted: length === size ? wanted : undefined,
  })
}

function notRegular(wanted: Wanted | undefined): Error {
  if (fields[KIND] === DIRECTORY) return systemError(os.errno.EISDIR, 'read', { side: 'source' })
  const what = wanted === undefined ? 'this' : `'${typeof wanted === 'string' ? wanted : wanted.path}'`
  const message = `${what} is not a regular file: only those have a length that a head can declare`
  return zcioError('ERR_ZCIO_UNSUPPORTED', message, { side: 'source' })
}
