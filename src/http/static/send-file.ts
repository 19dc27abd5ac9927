// The response to a request whose file has been found: its head, as the request's conditions want it, and what of the
// body. What others have said in the head before is left as they said it.

import { ServerResponse } from 'node:http'
import { join } from 'node:path'
import vary from 'vary'
import { writePreparedHead } from '../../node-internals.js'
import { closeFile, cut, WHOLE, type Body } from '../body.js'
import { sendBody, sendByNode } from '../send-body.js'
import { letGo } from '../reuse.js'
import { refuse, type Exchange } from './exchange.js'
import type { Candidate, Head } from './candidate.js'
import { headOf, judge, type Verdict } from './head.js'

/** Sends a file that has just been looked at; `refused` says why it goes through Node's streams. */
export function sendFile(exchange: Exchange, candidate: Candidate, body: Body, refused?: string): void {
  try {
    respond(exchange, candidate, body, refused)
  } catch (error) {
    closeFile(body)
    throw error
  }
}

function respond(exchange: Exchange, candidate: Candidate, body: Body, refused: string | undefined): void {
  const { settings, req, res } = exchange
  if (settings.setHeaders !== undefined) callSetHeaders(exchange, candidate, body)
  const head = headOf(candidate, body, settings)
  const isPlain = refused === undefined && isUntouched(res)
  if (!isPlain) setAbsent(res, head)
  const known = isPlain ? head : { etag: told(res, 'ETag'), lastModified: told(res, 'Last-Modified') }
  const verdict = judge(req.headers, res.statusCode, known, body.length, settings.acceptRanges)
  if (isPlain && verdict === 200) {
    deliver(exchange, body, refused, head)
    return
  }
  if (isPlain && verdict !== 304) setAbsent(res, head)
  conclude(exchange, body, refused, verdict, isPlain ? head : undefined)
}

function callSetHeaders({ settings, res }: Exchange, candidate: Candidate, body: Body): void {
  const { length: size, modifiedMs: mtimeMs } = body
  const stat = { size, mtime: new Date(Math.round(mtimeMs)), mtimeMs }
  settings.setHeaders?.(res, join(settings.root, candidate.original), stat)
}

/** Whether nobody has set a header, or wants to know of those that are set: then all of them go with the status. */
function isUntouched(res: ServerResponse): boolean {
  return res.writeHead === ServerResponse.prototype.writeHead && res.getHeaderNames().length === 0
}

function conclude(
  exchange: Exchange,
  body: Body,
  refused: string | undefined,
  verdict: Verdict,
  head: Head | undefined,
): void {
  const { res } = exchange
  const { length: size } = body
  if (typeof verdict === 'object') {
    res.statusCode = 206
    res.setHeader('Content-Range', `bytes ${verdict.start}-${verdict.end}/${size}`)
    res.setHeader('Content-Length', verdict.end - verdict.start + 1)
    deliver(exchange, cut(body, verdict), refused)
    return
  }
  if (verdict === 200) {
    res.setHeader('Content-Length', size)
    deliver(exchange, body, refused)
    return
  }
  letGo(body)
  if (verdict === 304) notModified(res, head)
  else if (verdict === 412) refuse(exchange, 412)
  else refuseRange(exchange, size)
}

function refuseRange(exchange: Exchange, size: number): void {
  const range = `bytes */${size}`
  exchange.res.setHeader('Content-Range', range)
  refuse(exchange, 416, { headers: { 'Content-Range': range } })
}

function deliver(exchange: Exchange, body: Body, refused: string | undefined, head?: Head): void {
  const { res } = exchange
  const response = { res, range: WHOLE, signal: undefined, onProgress: undefined, told: exchange }
  if (refused !== undefined || res.socket === null) sendByNode(body, response, refused ?? 'NO_DESCRIPTOR')
  else sendBody(res, res.socket, body, response, head?.whole)
}

/** Says of the file what nobody has said yet. */
function setAbsent(res: ServerResponse, { whole }: Head): void {
  for (const [name, value] of Object.values(whole)) {
    if (name === 'Vary') vary(res, 'Accept-Encoding')
    else if (name === 'Content-Encoding') res.setHeader(name, value)
    else if (name !== 'Content-Length' && !res.getHeader(name)) res.setHeader(name, value)
  }
}

function told(res: ServerResponse, name: string): string | undefined {
  const value = res.getHeader(name)
  return typeof value === 'string' ? value : undefined
}

/** `head` is all of it, where nobody has set a header. */
function notModified(res: ServerResponse, head: Head | undefined): void {
  if (head === undefined) {
    for (const name of CONTENT) res.removeHeader(name)
    res.statusCode = 304
  } else {
    res.statusCode = 304
    writePreparedHead(res, head.unmodified)
  }
  res.end()
}

const CONTENT = ['Content-Encoding', 'Content-Language', 'Content-Length', 'Content-Range', 'Content-Type']
