// What Node keeps of a response: its head, from when it is composed until it is sent.

import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { symbolOf } from './symbols.js'

/** The same for all responses. */
const kOutHeaders = symbolOf(plainResponse(), 'kOutHeaders') ?? Symbol('of no response')

interface PrivateResponse {
  [kOutHeaders]: Headers | null
  _header: string | null
  _headerSent: boolean
  _contentLength: number | null
}

/** Headers as a response keeps them: name and value, by the name in lower case. */
export type Headers = Readonly<Record<string, Header>>

/** A header's name, and its value, which nobody checks any more. */
export type Header = readonly [name: string, value: string | number]

/** Prepares headers that many responses are to have. */
export function prepareHeaders(headers: readonly Header[]): Headers {
  const byName = headers.map((header): [string, Header] => [header[0].toLowerCase(), header])
  return Object.freeze(Object.setPrototypeOf(Object.fromEntries(byName), null) as Headers)
}

/**
 * Composes the head of a response without headers of its own: from now on it has these, as if each had been set. Node
 * neither checks nor copies them again, which saves a small response a tenth.
 */
export function writePreparedHead(res: ServerResponse, headers: Headers): void {
  const own = res as unknown as PrivateResponse
  own[kOutHeaders] = headers
  try {
    res.writeHead(res.statusCode)
  } catch (error) {
    // What is set later must not be set for all.
    own[kOutHeaders] = null
    throw error
  }
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

/** Whether this Node keeps it so. */
export function responseIsAsExpected(): boolean {
  const res = plainResponse()
  const own = res as unknown as PrivateResponse
  const before = own[kOutHeaders] === null && own._header === null
  writePreparedHead(res, prepareHeaders([['Content-Length', 5]]))
  const { _header: head } = own
  const isHead = typeof head === 'string' && head.startsWith('HTTP/1.1 200') && head.endsWith('\r\n\r\n')
  const isPrepared = isHead && head.includes('\r\nContent-Length: 5\r\n') && res.hasHeader('content-length')
  return before && isPrepared && !own._headerSent && own._contentLength === 5
}

function plainResponse(): ServerResponse {
  const req = new IncomingMessage(new Socket())
  return new ServerResponse(Object.assign(req, { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 }))
}
