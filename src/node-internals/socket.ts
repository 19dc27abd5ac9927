// What Node keeps of a socket: its handle, by which libuv reads it, and its idle timer.

import { Socket } from 'node:net'
import { hasEnded } from './readable.js'

/** Libuv's half of a socket. */
export interface Handle {
  fd?: unknown
  reading?: boolean
  bytesRead?: unknown
  bytesWritten?: unknown
  writeQueueSize?: unknown
  readStart?(): number
  readStop?(): number
  shutdown?: (request: object) => number
  hasRef?(): boolean
}

interface PrivateSocket {
  _handle: Handle | null
  _unrefTimer(): void
  _write: unknown
  _writev: unknown
  _writeGeneric: unknown
  parser?: unknown
}

/** Of a socket that is connected, and not yet destroyed. */
export function handleOf(socket: Socket): Handle | undefined {
  return (socket as unknown as PrivateSocket)._handle ?? undefined
}

/** The descriptor of a connected socket, or -1. */
export function descriptorOf(socket: Socket): number {
  const fd = handleOf(socket)?.fd
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
  const handle = handleOf(socket)
  if (handle === undefined) return
  handle.reading = false
  handle.readStop?.()
}

/** Lets libuv read on: also what has ended meanwhile ends again for it, unless the stream has been told. */
export function startReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle === undefined || socket.destroyed || hasEnded(socket)) return
  handle.reading = true
  handle.readStart?.()
}

/**
 * Tells a socket that its peer has ended, and that it has been shut down for writing, so that it ends without asking
 * libuv, and libuv the kernel, about either.
 */
export function markOver(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle === undefined) return
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
  const handle = handleOf(socket)
  if (handle === undefined) return () => undefined
  handle.readStop?.()
  handle.reading = true
  return () => {
    handle.reading = false
  }
}

/** Bytes of a socket that the kernel has accepted; undefined where its handle does not know, or is gone. */
export function bytesSent(socket: Socket): number | undefined {
  // What TLS has queued is not what it was given.
  if ('encrypted' in socket) return undefined
  const { bytesWritten, writeQueueSize } = handleOf(socket) ?? {}
  if (typeof bytesWritten !== 'number' || typeof writeQueueSize !== 'number') return undefined
  return bytesWritten - writeQueueSize
}

const byNode = Socket.prototype as unknown as PrivateSocket
const { _write: write, _writev: writev, _writeGeneric: writeGeneric } = byNode

/** Whether what is written to a socket goes to its handle as Node sends it, and not as a subclass does. */
export function writesToHandle(socket: Socket): boolean {
  const own = socket as unknown as PrivateSocket
  return own._write === write && own._writev === writev && own._writeGeneric === writeGeneric
}

/** Whether a socket keeps the process alive while it is read. */
export function keepsProcess(socket: Socket): boolean {
  return handleOf(socket)?.hasRef?.() !== false
}

/** Tells a socket that bytes are moving, so that its idle timeout starts anew. */
export function refreshTimeout(socket: Socket): void {
  ;(socket as unknown as PrivateSocket)._unrefTimer()
}

/** Whether this Node has them. */
export function socketIsAsExpected(): boolean {
  const socket = new Socket() as unknown as PrivateSocket
  const isKnown = typeof socket._unrefTimer === 'function' && typeof socket._writeGeneric === 'function'
  return socket._handle === null && isKnown
}
