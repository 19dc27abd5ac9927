// The only reader of Node's private fields. Each is feature-tested when the module is loaded; where one is not as
// expected, `internals` says so and the callers use Node's public streams instead: it refuses, it never guesses.
//
// What is read, and since when it has been so (Node 20 to 26):
//   readable._readableState.reading   whether it has asked for bytes that have not come yet
//   readable._readableState.pipes               where it is piped
//   readable._readableState.awaitDrainWriters   whose 'drain' it waits for: a stream, a Set of them, or null
//   readable._readableState.dataEmitted         whether bytes have left it; set here when we have moved them
//   readStream[Symbol('kFs')]      what it reads and closes its file with
//   readStream[Symbol('kHandle')]  the FileHandle that it was made of
//   readable._readableState.ended     whether its end has been read, though perhaps not yet been told
//   socket._handle.fd         the descriptor of a TCP or Pipe handle
//   socket._handle.reading, .readStart(), .readStop()   whether libuv reads, and how to make it; pause() does not
//   socket._handle.shutdown()   ends what is written; 1: that was done at once
//   socket._handle.hasRef()   whether it keeps the process alive
//   socket._handle.bytesRead, .bytesWritten             what the socket's own counters are taken from
//   socket._unrefTimer()      refreshes the idle timer, as every write of Node's own does
//   socket.parser             the HTTP parser that takes what is read, past the stream
//   res._header               the head as it will be sent, from writeHead() on
//   res._headerSent           whether it has been; set here when we have sent it
//   res._contentLength        what the head declares

import { createReadStream, read, type ReadStream } from 'node:fs'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { PassThrough, Readable, type Writable } from 'node:stream'

interface PrivateReadable {
  _readableState: {
    reading?: unknown
    ended?: unknown
    pipes?: unknown
    awaitDrainWriters?: Writable | Set<Writable> | null
    dataEmitted?: unknown
  }
}

interface PrivateHandle {
  fd?: unknown
  reading?: boolean
  bytesRead?: unknown
  bytesWritten?: unknown
  readStart?(): number
  readStop?(): number
  shutdown?: (request: object) => number
  hasRef?(): boolean
}

interface PrivateSocket {
  _handle: PrivateHandle | null
  _unrefTimer(): void
  parser?: unknown
}

interface PrivateResponse {
  _header: string | null
  _headerSent: boolean
  _contentLength: number | null
}

/** Nothing is read from its descriptor: nobody reads from the stream. */
const IDLE = { fd: 0, autoClose: false }

/** The same for all file streams. */
const kFs = symbolOf(createReadStream('', IDLE), 'kFs') ?? Symbol('of no stream')

interface PrivateReadStream {
  [kFs]: { read: unknown } | undefined
}

/** Whether this Node is as described above. */
export const internals: boolean = readableIsAsExpected() && socketIsAsExpected() && responseIsAsExpected()

/** Whether a stream has asked for bytes that have not come yet. */
export function isReading(stream: Readable): boolean {
  return (stream as unknown as PrivateReadable)._readableState.reading === true
}

/** Whether the end of a stream has been read, though perhaps not yet been told. */
export function hasEnded(stream: Readable): boolean {
  return (stream as unknown as PrivateReadable)._readableState.ended === true
}

/** Whether this Node's pipes are as described above, too. */
export const pipingInternals: boolean = internals && pipesAreAsExpected() && readStreamIsAsExpected()

/** Where a stream is piped to. */
export function pipesOf(stream: Readable): readonly Writable[] {
  return (stream as unknown as PrivateReadable)._readableState.pipes as Writable[]
}

/** Whether a stream is paused only until a destination has drained. */
export function awaitsDrain(stream: Readable): boolean {
  const { awaitDrainWriters } = (stream as unknown as PrivateReadable)._readableState
  return awaitDrainWriters instanceof Set ? awaitDrainWriters.size > 0 : (awaitDrainWriters ?? null) !== null
}

/** Tells a stream that bytes have left it: `readableDidRead`. */
export function markDidRead(stream: Readable): void {
  ;(stream as unknown as PrivateReadable)._readableState.dataEmitted = true
}

/** Whether the bytes of a stream come from its descriptor, by Node's own `fs.read` or FileHandle. */
export function readsDescriptor(stream: ReadStream): boolean {
  const handle = ownSymbol(stream, 'kHandle')
  if (typeof handle === 'object' && handle !== null) return !Object.hasOwn(handle, 'read')
  return readsByFs(stream)
}

/** Whether they come by Node's own `fs.read`. */
export function readsByFs(stream: ReadStream): boolean {
  return (stream as unknown as PrivateReadStream)[kFs]?.read === read
}

/** `fs.read`, as a file stream calls it: at `position`, or where that is undefined at the descriptor's own. */
export type Read = (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | undefined,
  callback: (error: Error | null, bytes: number, buffer: Buffer) => void,
) => void

/** Has Node's `_read` of a stream, which `readMore` calls, read by other means than `fs.read`. */
export function readingBy(stream: ReadStream, means: Read, readMore: () => void): void {
  const own = stream as unknown as PrivateReadStream
  const fs = own[kFs]
  own[kFs] = { read: means }
  try {
    readMore()
  } finally {
    own[kFs] = fs
  }
}

/** The descriptor of a connected socket, or -1. */
export function descriptorOf(socket: Socket): number {
  const fd = (socket as unknown as PrivateSocket)._handle?.fd
  return typeof fd === 'number' ? fd : -1
}

/** Whether what this socket receives is the stream's to give, and ours to take instead. */
export function canBeReadFrom(socket: Socket): boolean {
  const { _handle: handle, parser } = socket as unknown as PrivateSocket
  const isKnown =
    typeof handle?.readStart === 'function' &&
    typeof handle.readStop === 'function' &&
    typeof handle.bytesRead === 'number'
  return isKnown && (parser === null || parser === undefined)
}

/** Stops libuv from reading the socket. */
export function stopReading(socket: Socket): void {
  const handle = (socket as unknown as PrivateSocket)._handle
  if (!handle) return
  handle.reading = false
  handle.readStop?.()
}

/** Lets libuv read on: also what has ended meanwhile ends again for it, unless the stream has been told. */
export function startReading(socket: Socket): void {
  const handle = (socket as unknown as PrivateSocket)._handle
  if (!handle || socket.destroyed || hasEnded(socket)) return
  handle.reading = true
  handle.readStart?.()
}

/**
 * Tells a socket that its peer has ended, and that it has been shut down for writing, so that it ends without asking
 * libuv, and libuv the kernel, about either.
 */
export function markOver(socket: Socket): void {
  const handle = (socket as unknown as PrivateSocket)._handle
  if (!handle) return
  handle.shutdown = doneAtOnce
  socket.push(null)
}

function doneAtOnce(): number {
  return 1
}

/**
 * Keeps libuv from reading the socket, though for Node it does: who stops it meanwhile, as `pause()` of process.stdin,
 * may do so. Returns how to end that; libuv then does not read until the stream asks.
 */
export function holdReading(socket: Socket): () => void {
  const handle = (socket as unknown as PrivateSocket)._handle
  if (!handle) return () => undefined
  handle.readStop?.()
  handle.reading = true
  return () => {
    handle.reading = false
  }
}

/** Whether a socket keeps the process alive while it is read. */
export function keepsProcess(socket: Socket): boolean {
  return (socket as unknown as PrivateSocket)._handle?.hasRef?.() !== false
}

type Counter = 'bytesRead' | 'bytesWritten'

/** Bytes that moved past a socket's handle: by what is over, and by what is under way. */
export interface Past {
  done: number
  running: Counted | undefined
}

/** What moves bytes and counts them. */
interface Counted {
  bytes(): number
}

const pasts = { bytesRead: new WeakMap<object, Past>(), bytesWritten: new WeakMap<object, Past>() }

/** Has the socket's own counter include what moves past it, until the function that is returned fixes the number. */
export function countAlso(socket: Socket, counter: Counter, moved: () => number): (bytes: number) => void {
  const past = countWhile(socket, counter, { bytes: moved })
  return (bytes) => {
    countAfter(past, bytes)
  }
}

/** The same while something runs, without a function made for it. {@link countAfter} fixes the number. */
export function countWhile(socket: Socket, counter: Counter, running: Counted): Past | undefined {
  const handle = (socket as unknown as PrivateSocket)._handle
  if (!handle) return undefined
  const past = pasts[counter].get(handle) ?? extend(handle, counter)
  past.running = running
  return past
}

/** Ends {@link countWhile}. */
export function countAfter(past: Past | undefined, bytes: number): void {
  if (past === undefined) return
  past.done += bytes
  past.running = undefined
}

/** The counters of a socket are accessors that cannot be replaced; those of its handle, which they read, can. */
function extend(handle: PrivateHandle, counter: Counter): Past {
  const past: Past = { done: 0, running: undefined }
  Object.defineProperty(handle, counter, accessors[counter])
  pasts[counter].set(handle, past)
  return past
}

/** One for all handles: with a function of its own each would have a hidden class of its own, of 1 KiB. */
const accessors = { bytesRead: accessor('bytesRead'), bytesWritten: accessor('bytesWritten') }

function accessor(counter: Counter): PropertyDescriptor & ThisType<object> {
  return {
    configurable: true,
    get() {
      const past = pasts[counter].get(this)
      const own = Reflect.get(Object.getPrototypeOf(this) as object, counter, this) as number
      return own + (past?.done ?? 0) + (past?.running?.bytes() ?? 0)
    },
  }
}

/** Tells a socket that bytes are moving, so that its idle timeout starts anew. */
export function refreshTimeout(socket: Socket): void {
  ;(socket as unknown as PrivateSocket)._unrefTimer()
}

/** The head that Node has composed and not yet sent, or undefined. */
export function pendingHead(res: ServerResponse): string | undefined {
  const { _header, _headerSent } = res as unknown as PrivateResponse
  return _headerSent || _header === null ? undefined : _header
}

/** Tells a response that its head has been sent. */
export function markHeadSent(res: ServerResponse): void {
  ;(res as unknown as PrivateResponse)._headerSent = true
}

/** What the composed head declares, or undefined. */
export function declaredLength(res: ServerResponse): number | undefined {
  return (res as unknown as PrivateResponse)._contentLength ?? undefined
}

function readableIsAsExpected(): boolean {
  const stream = new Readable({ read: () => undefined })
  const before = (stream as unknown as PrivateReadable)._readableState.reading
  stream.read(0)
  const reads = before === false && isReading(stream) && !hasEnded(stream)
  stream.push(null)
  return reads && hasEnded(stream)
}

function pipesAreAsExpected(): boolean {
  const source = new Readable({ read: () => undefined })
  const sink = new PassThrough({ highWaterMark: 1 })
  const { _readableState: state } = source as unknown as PrivateReadable
  const before = Array.isArray(state.pipes) && state.pipes.length === 0 && !awaitsDrain(source)
  sink.write('full')
  source.pipe(sink)
  const piped = pipesOf(source)[0] === sink && awaitsDrain(source)
  markDidRead(source)
  return before && piped && source.readableDidRead
}

function readStreamIsAsExpected(): boolean {
  const stream = createReadStream('', IDLE)
  const custom = createReadStream('', { ...IDLE, fs: { read: () => undefined } })
  const asked: unknown[] = []
  const means: Read = (...args) => asked.push(...args)
  readingBy(stream, means, () => {
    stream._read(7)
  })
  const [fd, buffer, offset, length, position] = asked
  const isAsked =
    fd === 0 && Buffer.isBuffer(buffer) && offset === 0 && length === 7 && position === undefined
  return readsDescriptor(stream) && !readsDescriptor(custom) && isAsked
}

/** The value of an own property whose key is a symbol of Node's. */
function ownSymbol(object: object, description: string): unknown {
  const key = symbolOf(object, description)
  return key === undefined ? undefined : (object as Record<symbol, unknown>)[key]
}

function symbolOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description)
}

function socketIsAsExpected(): boolean {
  const socket = new Socket() as unknown as PrivateSocket
  return socket._handle === null && typeof socket._unrefTimer === 'function'
}

function responseIsAsExpected(): boolean {
  const req = new IncomingMessage(new Socket())
  Object.assign(req, { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 })
  const res = new ServerResponse(req)
  const before = (res as unknown as PrivateResponse)._header === null
  res.writeHead(200, { 'content-length': 5 })
  const { _header, _headerSent, _contentLength } = res as unknown as PrivateResponse
  const composed =
    typeof _header === 'string' && _header.startsWith('HTTP/1.1 200') && _header.endsWith('\r\n\r\n')
  return before && composed && !_headerSent && _contentLength === 5
}
