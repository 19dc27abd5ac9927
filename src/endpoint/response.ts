// Borrowing the socket under an HTTP response, from its head to the end of its body.
//
// Only a body whose length the head declares can be moved past Node: everything else (chunked, encrypted, wrapped
// by a compressing middleware, another protocol) is for Node's own streams.

import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { abortError, zcioError, type TransferError } from '../errors.js'
import { declaredLength, internals } from '../node-internals.js'
import { refusedSocket } from './socket.js'

/** Why the body of this response has to go through Node's streams, or undefined. */
export function refusedResponse(res: ServerResponse): string | undefined {
  if (!internals) return 'NODE_INTERNALS'
  if (res.strictContentLength) return 'STRICT_CONTENT_LENGTH'
  if (res.write !== ServerResponse.prototype.write || res.end !== ServerResponse.prototype.end)
    return 'WRAPPED'
  if (res.writableCorked > 0) return 'CORKED'
  if (res.chunkedEncoding || res.hasHeader('transfer-encoding')) return 'CHUNKED'
  return res.socket === null ? undefined : refusedSocket(res.socket)
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

/** Throws where the head promises, or will promise, another length than the body has. */
export function checkDeclaredLength(res: ServerResponse, length: number): void {
  const header = res.headersSent ? declaredLength(res) : res.getHeader('content-length')
  if (header === undefined || isBodyless(res) || Number(header) === length) return
  throw zcioError(
    'ERR_HTTP_CONTENT_LENGTH_MISMATCH',
    `the head declares Content-Length: ${String(header)}, but the body has ${length} bytes; leave the header out or correct it`,
  )
}

/** The socket of a response; one to a pipelined request gets it only when it is its turn. */
export async function socketOf(res: ServerResponse, signal: AbortSignal | undefined): Promise<Socket> {
  if (res.destroyed || res.req.socket.destroyed) throw closed(0)
  if (res.socket !== null) return res.socket
  const gone = new AbortController()
  const onClose = (): void => {
    gone.abort()
  }
  // A queued response hears nothing of its connection's end, but the connection itself does.
  res.req.socket.once('close', onClose)
  res.once('close', onClose)
  try {
    await once(res, 'socket', { signal: signal ? AbortSignal.any([signal, gone.signal]) : gone.signal })
  } catch {
    throw signal?.aborted ? abortError(signal, { bytes: 0 }) : closed(0)
  } finally {
    res.req.socket.off('close', onClose)
    res.off('close', onClose)
  }
  return res.socket as unknown as Socket
}

/** The client has gone, or JavaScript has destroyed the response. */
export function closed(bytes: number): TransferError {
  const message = 'the connection was closed before the response was complete'
  return zcioError('ERR_STREAM_PREMATURE_CLOSE', message, { bytes, side: 'sink' })
}

/**
 * Keeps calls of `end` for later: made during the lease, they would finish a response that has no body yet.
 * Returns how to end the response; the calls that were kept then meet an ended response, as with streams.
 */
export function guardEnd(res: ServerResponse): () => void {
  const kept: unknown[][] = []
  const own = res as { end?: unknown }
  own.end = (...args: unknown[]): ServerResponse => {
    kept.push(args)
    return res
  }
  return () => {
    delete own.end
    if (!res.destroyed) res.end()
    for (const args of kept) res.end(...(args as []))
  }
}
