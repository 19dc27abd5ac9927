// The head of a file's response: what it says of the file, and what the conditions of the request make of it.
//
// What is said of a file depends on its size, its time and its name alone, so it is kept beside its name and made anew
// when one of the others changes. Conditions and ranges are understood by the libraries that Express uses.

import type { IncomingMessage } from 'node:http'
import fresh from 'fresh'
import parseRange from 'range-parser'
import { prepareHeaders, type Header } from '../../node-internals.js'
import type { Body, Range } from '../body.js'
import type { Candidate, Head, Validators } from './candidate.js'
import type { Settings } from './options.js'

/** What the client is to get: the whole file, a range of it, or only a status. */
export type Verdict = 200 | 304 | 412 | 416 | Range

/** What the head says of a file that has just been looked at. */
export function headOf(candidate: Candidate, { length, modifiedMs }: Body, settings: Settings): Head {
  const { head } = candidate
  if (head?.size === length && head.modifiedMs === modifiedMs) return head
  return (candidate.head = makeHead(candidate, length, modifiedMs, settings))
}

/** Applies the conditions of a request: RFC 9110, 13.2.2, as `send` does. */
export function judge(
  headers: IncomingMessage['headers'],
  status: number,
  { etag, lastModified }: Validators,
  size: number,
  acceptRanges: boolean,
): Verdict {
  if (isPreconditionFailure(headers, etag, lastModified)) return 412
  const isCachable = (status >= 200 && status < 300) || status === 304
  if (isCachable && fresh(headers, { etag, 'last-modified': lastModified })) return 304
  const { range } = headers
  if (!acceptRanges || range === undefined || !BYTES.test(range)) return 200
  if (!isRangeFresh(headers['if-range'], etag, lastModified)) return 200
  const ranges = parseRange(size, range, { combine: true })
  if (ranges === -1) return 416
  return ranges !== -2 && ranges.length === 1 ? (ranges[0] ?? 200) : 200
}

const BYTES = /^ *bytes=/

function makeHead(candidate: Candidate, size: number, modifiedMs: number, settings: Settings): Head {
  // A time counts as it does in fs.Stats: to the nearest millisecond.
  const time = new Date(Math.round(modifiedMs))
  const etag = settings.etag ? tag(size, time, candidate.encoding) : undefined
  const lastModified = settings.lastModified ? time.toUTCString() : undefined
  const unmodified = said([
    ['Accept-Ranges', settings.acceptRanges ? 'bytes' : undefined],
    ['Cache-Control', settings.cacheControl],
    ['Last-Modified', lastModified],
    ['ETag', etag],
    ['Vary', settings.encodings.length > 0 ? 'Accept-Encoding' : undefined],
  ])
  const content = said([
    ['Content-Type', candidate.type],
    ['Content-Encoding', candidate.encoding],
    ['Content-Length', size],
  ])
  return {
    size,
    modifiedMs,
    etag,
    lastModified,
    whole: prepareHeaders([...unmodified, ...content]),
    unmodified: prepareHeaders(unmodified),
  }
}

function said(headers: readonly (readonly [name: string, value: Header[1] | undefined])[]): Header[] {
  return headers.filter((header): header is Header => header[1] !== undefined)
}

/** As the package `etag` makes it of an fs.Stats; each coding of a file has its own. */
function tag(size: number, time: Date, encoding: string | undefined): string {
  return `W/"${size.toString(16)}-${time.getTime().toString(16)}${encoding === undefined ? '' : `-${encoding}`}"`
}

function isPreconditionFailure(
  headers: IncomingMessage['headers'],
  etag: string | undefined,
  lastModified: string | undefined,
): boolean {
  const match = headers['if-match']
  if (match !== undefined && match !== '') {
    return etag === undefined || (match !== '*' && !tokens(match).some((token) => isSameTag(token, etag)))
  }
  const unmodifiedSince = parseDate(headers['if-unmodified-since'])
  return !Number.isNaN(unmodifiedSince) && !(parseDate(lastModified) <= unmodifiedSince)
}

function isRangeFresh(ifRange: unknown, etag: string | undefined, lastModified: string | undefined): boolean {
  if (typeof ifRange !== 'string' || ifRange === '') return true
  if (ifRange.includes('"')) return etag !== undefined && ifRange.includes(etag)
  return parseDate(lastModified) <= parseDate(ifRange)
}

function tokens(list: string): string[] {
  return list
    .split(',')
    .map((token) => token.replace(/^ +| +$/g, ''))
    .filter((token) => token !== '')
}

/** Weakly: whether one is strong does not matter. */
function isSameTag(one: string, other: string): boolean {
  return one === other || one === `W/${other}` || `W/${one}` === other
}

function parseDate(date: string | undefined): number {
  return date === undefined ? NaN : Date.parse(date)
}
