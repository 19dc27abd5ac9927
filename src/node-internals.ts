// The only reader of Node's private fields. Each is feature-tested when the module is loaded; where one is not as
// expected, `internals` says so and the callers use Node's public streams instead: it refuses, it never guesses.
//
// What is read, and since when it has been so (Node 20 to 26):
//   readable._readableState.reading   whether it has asked for bytes that have not come yet
//   socket._handle.fd         the descriptor of a TCP or Pipe handle
//   socket._unrefTimer()      refreshes the idle timer, as every write of Node's own does
//   res._header               the head as it will be sent, from writeHead() on
//   res._headerSent           whether it has been; set here when we have sent it
//   res._contentLength        what the head declares

import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'

interface PrivateReadable {
  _readableState: { reading?: unknown }
}

interface PrivateSocket {
  _handle: { fd?: unknown } | null
  _unrefTimer(): void
}

interface PrivateResponse {
  _header: string | null
  _headerSent: boolean
  _contentLength: number | null
}

/** Whether this Node is as described above. */
export const internals: boolean = readableIsAsExpected() && socketIsAsExpected() && responseIsAsExpected()

/** Whether a stream has asked for bytes that have not come yet. */
export function isReading(stream: Readable): boolean {
  return (stream as unknown as PrivateReadable)._readableState.reading === true
}

/** The descriptor of a connected socket, or -1. */
export function descriptorOf(socket: Socket): number {
  const fd = (socket as unknown as PrivateSocket)._handle?.fd
  return typeof fd === 'number' ? fd : -1
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
  return before === false && isReading(stream)
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
