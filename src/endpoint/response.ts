// Borrowing the socket under an HTTP response, from its head to the end of its body.
//
// Only a body whose length the head declares can be moved past Node: everything else (chunked, encrypted, wrapped
// by a compressing middleware, another protocol) is for Node's own streams.

import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { abortError, zcioError, type TransferError } from '../errors.js'
import { declaredLength, writePreparedHead, type Headers } from '../node-internals.js'
import { unguard } from './guard.js'
import { refusedHere } from './here.js'
import { refusedSocket } from './socket.js'

/** Why the body of this response has to go through Node's streams, or undefined. */
export function refusedResponse(res: ServerResponse): string | undefined {
  const refused = refusedHere()
  if (refused !== undefined) return refused
  if (res.strictContentLength) return 'STRICT_CONTENT_LENGTH'
  if (isWrapped(res)) return 'WRAPPED'
  if (res.writableCorked > 0) return 'CORKED'
  if (res.chunkedEncoding || res.hasHeader('transfer-encoding')) return 'CHUNKED'
  return res.socket === null ? undefined : refusedSocket(res.socket)
}

/** Whether somebody wants to see what is written: a middleware that compresses, or another protocol. */
export function isWrapped(res: ServerResponse): boolean {
  return res.write !== ServerResponse.prototype.write || res.end !== ServerResponse.prototype.end
}

/** The same once the head is composed: a body without a declared length is sent in chunks. */
export function refusedBody(res: ServerResponse): string | undefined {
  return declaredLength(res) === undefined ? 'CHUNKED' : undefined
}

/** Whether a response to this request with this status has no body, whatever its headers say. */
export function isBodyless(res: ServerResponse): boolean {
  return res.req.method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304
}

/** Declares the length of the body, unless somebody has: the caller, or a header that excludes it. */
export function declareLength(res: ServerResponse, length: number): void {
  if (res.headersSent || res.statusCode === 204 || res.statusCode === 304) return
  if (res.hasHeader('content-length') || res.hasHeader('transfer-encoding')) return
  res.setHeader('Content-Length', length)
}

/**
 * Composes the head, if nobody has; it declares the length of the body as {@link declareLength} does. `headers` are
 * all of it, that length among them, where no header has been set.
 */
export function composeHead(res: ServerResponse, length: number, headers?: Headers): void {
  if (headers !== undefined) {
    writePreparedHead(res, headers)
    return
  }
  if (res.headersSent) return
  // Handed over with the status, a header need not be kept by name first, which costs a tenth of a small response.
  if (res.getHeaderNames().length === 0 && !isBodyless(res)) {
    res.writeHead(res.statusCode, { 'Content-Length': length })
    return
  }
  declareLength(res, length)
  res.writeHead(res.statusCode)
}

/**
 * Behind a cork Node's own streams would wait for a 'drain' that does not come; ending a response pulls it too. Whoever
 * has corked the response will pull once more, which Node counts below zero, and Node 26 then waits all the same.
 */
export function uncork(res: ServerResponse): void {
  if (res.writableCorked > 0) keepAboveZero(res)
  for (const stream of [res, res.socket]) {
    while (stream !== null && stream.writableCorked > 0) stream.uncork()
  }
}

function keepAboveZero(res: ServerResponse): void {
  const pull = res.uncork.bind(res)
  res.uncork = () => {
    if (res.writableCorked > 0) pull()
  }
}

/** Throws where the head promises, or will promise, another length than the body has. */
export function checkDeclaredLength(res: ServerResponse, length: number): void {
  const header = res.headersSent ? declaredLength(res) : res.getHeader('content-length')
  if (header === undefined || isBodyless(res) || Number(header) === length) return
  throw zcioError(
    'ERR_HTTP_CONTENT_LENGTH_MISMATCH',
    `the head declares Content-Length: ${String(header)}, but the body has ${length} bytes; leave the header out or correct it`,
  )
}

/** Whether the client has gone, or JavaScript has destroyed the response or its connection. */
export function isGone(res: ServerResponse): boolean {
  return res.destroyed || res.req.socket.destroyed
}

/** The socket of a response; one to a pipelined request gets it only when it is its turn. */
export async function socketOf(res: ServerResponse, signal: AbortSignal | undefined): Promise<Socket> {
  if (isGone(res)) throw closed(0)
  return res.socket ?? turnOf(res, signal)
}

function turnOf(res: ServerResponse, signal: AbortSignal | undefined): Promise<Socket> {
  const waiting = waitingOn(res.req.socket)
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      res.off('socket', settle).off('close', settle)
      signal?.removeEventListener('abort', settle)
      waiting.delete(settle)
      if (signal?.aborted) reject(abortError(signal, { bytes: 0 }))
      else if (res.socket === null || isGone(res)) reject(closed(0))
      else resolve(res.socket)
    }
    res.once('socket', settle).once('close', settle)
    signal?.addEventListener('abort', settle)
    waiting.add(settle)
  })
}

const waiting = new WeakMap<Socket, Set<() => void>>()

/** A queued response hears nothing of its connection's end: so we listen there, once for all that are queued. */
function waitingOn(socket: Socket): Set<() => void> {
  const known = waiting.get(socket)
  if (known !== undefined) return known
  const settles = new Set<() => void>()
  waiting.set(socket, settles)
  socket.once('close', () => {
    for (const settle of settles) settle()
  })
  return settles
}

/** What {@link isGone} is as an error. */
export function closed(bytes: number, cause?: unknown): TransferError {
  const message = 'the connection was closed before the response was complete'
  return zcioError('ERR_STREAM_PREMATURE_CLOSE', message, { bytes, side: 'sink', cause })
}

/**
 * Ends a response that is guarded. What was kept then meets an ended response, as with streams; with the connection
 * gone, so is what was kept.
 */
export function endGuarded(res: ServerResponse): void {
  const calls = unguard(res)
  if (isGone(res)) return
  res.end()
  for (const call of calls) call()
}
