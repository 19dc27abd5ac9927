// Options of serveStatic: what there is, what is left out means, and what is wrong about them.

import type { ServerResponse } from 'node:http'
import { resolve } from 'node:path'
import ms from 'ms'
import { invalidType, invalidValue, outOfRange } from '../../errors.js'
import { checkBoolean, checkFunction, checkOptions } from '../../options.js'

/** A content coding with files of its own: `.br`, `.zst`, `.gz`. */
export type Encoding = 'br' | 'zstd' | 'gzip'

/** What `setHeaders` gets to know of the file: as in `fs.Stats`. */
export interface FileStat {
  /** Bytes. */
  size: number
  /** When it was last changed. */
  mtime: Date
  /** The same in milliseconds since 1970, with a fraction. */
  mtimeMs: number
}

/** Options of {@link serveStatic}; names, defaults and outcomes are those of the package `serve-static`. */
export interface ServeStaticOptions {
  /** Say `Accept-Ranges: bytes` and answer ranges with 206 or 416. Several ranges at once are answered whole. Default: true. */
  acceptRanges?: boolean
  /** Say `Cache-Control: public, max-age=…`; without it `maxAge` and `immutable` mean nothing. Default: true. */
  cacheControl?: boolean
  /** What becomes of a path with a component that begins with a dot: served, 403, or as if it were not there. Default: 'ignore'. */
  dotfiles?: 'allow' | 'deny' | 'ignore'
  /** Say an `ETag`, weak, of size and time, and answer conditions on it. Default: true. */
  etag?: boolean
  /** Tried in this order where a path has no extension and no file: `['html']` lets `/about` be `about.html`. Default: none. */
  extensions?: string | readonly string[] | false
  /**
   * Where there is no file, or the request is malformed or not a GET or HEAD: call `next()`. Otherwise, and where there
   * is no `next`, the error goes to `next(error)`, or is the response. Default: true.
   */
  fallthrough?: boolean
  /** Add `immutable` to `Cache-Control`: the file is never going to change under this name. Default: false. */
  immutable?: boolean
  /** Files that stand for their directory, in the order in which they are tried; `false`: none. Default: 'index.html'. */
  index?: string | readonly string[] | false
  /** Say `Last-Modified`, and answer conditions on it. Default: true. */
  lastModified?: boolean
  /** How long a client may keep the file: milliseconds, or a string such as '1d' for the package `ms`; at most a year. Default: 0. */
  maxAge?: number | string
  /**
   * Send a file's compressed sibling (`app.js.br` for `app.js`) to who accepts its coding; of those that the client likes
   * equally the first of the list. `true`: `['br', 'zstd', 'gzip']`. A sibling without its original is not served in its
   * place. Not in `serve-static`. Default: false.
   */
  precompressed?: boolean | readonly Encoding[]
  /** Lead the path of a directory to the same with a slash, by 301; `false`: 404. Default: true. */
  redirect?: boolean
  /**
   * Called before the head of a file is made, to set headers of your own; those that you have set are left as they are.
   * `path` is the file's, absolute, without the extension of a compressed sibling; `stat` is of what is sent. It has to
   * be synchronous.
   */
  setHeaders?: (res: ServerResponse, path: string, stat: FileStat) => void
}

/** The same with nothing left out. */
export interface Settings {
  root: string
  acceptRanges: boolean
  /** The header's value. */
  cacheControl: string | undefined
  dotfiles: 'allow' | 'deny' | 'ignore'
  etag: boolean
  extensions: readonly string[]
  fallthrough: boolean
  index: readonly string[]
  lastModified: boolean
  encodings: readonly Encoding[]
  redirect: boolean
  setHeaders: ServeStaticOptions['setHeaders']
  /** Open as where there is no openat2(2): `ZCIO_OPENAT2=off`. */
  walk: boolean
}

const OPTIONS = [
  'acceptRanges',
  'cacheControl',
  'dotfiles',
  'etag',
  'extensions',
  'fallthrough',
  'immutable',
  'index',
  'lastModified',
  'maxAge',
  'precompressed',
  'redirect',
  'setHeaders',
]

const DOTFILES = ['allow', 'deny', 'ignore'] as const
const ENCODINGS: readonly Encoding[] = ['br', 'zstd', 'gzip']

/** What caches may be told at most: RFC 2616, 14.21. */
const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** Checks what the application has said, and fills in what it has not. */
export function checkSettings(root: unknown, options: ServeStaticOptions | undefined): Settings {
  if (typeof root !== 'string') throw invalidType('root', 'the path of a directory', root)
  if (root === '') throw invalidValue('root', root, 'must not be empty; say "." for the current directory')
  if (root.includes('\0')) throw invalidValue('root', root, 'must not contain null bytes')
  const checked = checkOptions(options, OPTIONS)
  const flag = (name: keyof ServeStaticOptions, absent: boolean): boolean =>
    checkBoolean(`options.${name}`, checked[name]) ?? absent
  const directives = `public, max-age=${checkMaxAge(checked.maxAge)}${flag('immutable', false) ? ', immutable' : ''}`
  return {
    root: resolve(root),
    acceptRanges: flag('acceptRanges', true),
    cacheControl: flag('cacheControl', true) ? directives : undefined,
    dotfiles: checkWord('options.dotfiles', checked.dotfiles, DOTFILES) ?? 'ignore',
    etag: flag('etag', true),
    extensions: checkNames('options.extensions', checked.extensions) ?? [],
    fallthrough: flag('fallthrough', true),
    index: checkNames('options.index', checked.index) ?? ['index.html'],
    lastModified: flag('lastModified', true),
    encodings: checkEncodings(checked.precompressed),
    redirect: flag('redirect', true),
    setHeaders: checkFunction('options.setHeaders', checked.setHeaders),
    walk: process.env.ZCIO_OPENAT2 === 'off',
  }
}

/** In seconds. */
function checkMaxAge(value: unknown): number {
  if (value === undefined) return 0
  if (typeof value !== 'number' && typeof value !== 'string')
    throw invalidType('options.maxAge', 'a number of milliseconds or a string', value)
  const milliseconds = typeof value === 'number' ? value : parseDuration(value)
  if (Number.isNaN(milliseconds) || milliseconds < 0)
    throw outOfRange('options.maxAge', '>= 0 milliseconds', value)
  return Math.floor(Math.min(milliseconds, YEAR_MS) / 1000)
}

function parseDuration(value: string): number {
  const parsed = value === '' ? undefined : (ms(value as ms.StringValue) as number | undefined)
  if (parsed === undefined || Number.isNaN(parsed))
    throw invalidValue('options.maxAge', value, "must be a duration, such as '1d' or '12h'")
  return parsed
}

function checkWord<W extends string>(name: string, value: unknown, words: readonly W[]): W | undefined {
  if (value === undefined) return undefined
  if (!words.includes(value as W)) throw invalidValue(name, value, `must be one of ${words.join(', ')}`)
  return value as W
}

function checkNames(name: string, value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined
  const names = value === false ? [] : Array.isArray(value) ? [...(value as unknown[])] : [value]
  if (!names.every((one) => typeof one === 'string'))
    throw invalidType(name, 'a string, an array of strings, or false', value)
  const bad = names.find((one) => one === '' || one.includes('\0'))
  if (bad !== undefined) throw invalidValue(name, value, 'must not name the empty string, or null bytes')
  return names
}

function checkEncodings(value: unknown): readonly Encoding[] {
  if (value === undefined || value === false) return []
  if (value === true) return ENCODINGS
  if (!Array.isArray(value)) throw invalidType('options.precompressed', 'a boolean or an array', value)
  return value.map((one) => checkWord('options.precompressed', one, ENCODINGS) ?? 'br')
}
