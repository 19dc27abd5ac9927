// A directory served over HTTP: the whole of a static server but for listings, with the options and outcomes of the
// package serve-static.
//
// From the request to the file and its head is one native call and no promise, where nothing has to be waited for; from
// there on it is the journey of respondWithFile. What cannot be answered is handed on, or answered by its error.

import { ServerResponse, type IncomingMessage } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { constants } from 'node:os'
import { join } from 'node:path'
import parseUrl from 'parseurl'
import { binding } from '../binding.js'
import { refusedResponse } from '../endpoint/response.js'
import { systemError } from '../errors.js'
import { closeFile, exclusively, lookAt, WHOLE, type Body } from './body.js'
import { isReady, settled } from './send-body.js'
import type { Plan } from './static/candidate.js'
import { negotiation, type Accepted } from './static/encodings.js'
import { Exchange, fail, refuse, report } from './static/exchange.js'
import { findLater, findNow, type Found } from './static/find.js'
import { checkSettings, type ServeStaticOptions } from './static/options.js'
import { plan } from './static/path.js'
import { redirect, refuseMethod } from './static/refusal.js'
import { sendFile } from './static/send-file.js'
import { atTurnsEnd, leavesAtOnce } from './turn.js'

/** What {@link serveStatic} returns: a listener of 'request', and a middleware of Express and Connect. */
export type StaticHandler = (
  req: IncomingMessage | Http2ServerRequest,
  res: ServerResponse | Http2ServerResponse,
  next?: (error?: unknown) => void,
) => void

/** One request to a directory that is served. */
class Request extends Exchange {
  readonly service: Service

  constructor(service: Service, ...exchange: ConstructorParameters<typeof Exchange>) {
    super(...exchange)
    this.service = service
  }
}

/** One directory that is served. */
interface Service {
  accepted: Accepted
  /** What to try for paths that have been answered with a file. */
  plans: Map<string, Plan>
}

/** So many paths are kept with their heads, about 1 KiB each; then it begins anew, which costs each a few µs once. */
const PLANS = 1000

const { EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EXDEV } = constants.errno

/** What errors say to whoever asks: there is no such file. */
const MISSING: readonly number[] = [ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV]

/**
 * Serves the files of a directory: for `http`, `https` and `http2` servers, and as middleware of Express and Connect.
 *
 * Options, defaults and outcomes are those of the package `serve-static`: indexes, redirects of directories, types,
 * conditions (304, 412), ranges (206, 416), dotfiles. The root is enforced by the kernel: nothing outside of it is ever
 * sent, whatever paths and symbolic links say. A link that leaves the root, or is absolute, leads nowhere. The root is
 * looked up after each request, so it may be a link that a deployment turns over; requests that come together for the
 * same file share one look. Directories are not listed; the package `serve-index` does that, behind this.
 *
 * Files are sent by reference, as by {@link respondWithFile}; over TLS and HTTP/2, and behind a middleware that
 * compresses, through Node's streams.
 *
 * @param root the directory; relative to the current one of this moment
 * @returns what answers a request. Where there is no file it calls `next()`, or `next(error)` with a `status` as of
 *   `http-errors`; without a `next` the error is the response.
 * @throws TypeError or RangeError for options that are unknown or make no sense; `ERR_ZCIO_UNSUPPORTED` where there is no
 *   binary for this platform
 */
export function serveStatic(root: string, options?: ServeStaticOptions): StaticHandler {
  const settings = checkSettings(root, options)
  binding()
  const service = { accepted: negotiation(settings.encodings), plans: new Map<string, Plan>() }
  return (req, res, next) => {
    serve(new Request(service, settings, req as IncomingMessage, res as ServerResponse, next))
  }
}

function serve(request: Request): void {
  const { service, settings, req, res, next } = request
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    if (settings.fallthrough && next !== undefined) next()
    else refuseMethod(res)
    return
  }
  const pathname = pathOf(req)
  if (pathname === undefined) {
    fail(request, 400)
    return
  }
  const known = service.plans.get(pathname)
  if (known !== undefined && !leavesAtOnce(res)) {
    atTurnsEnd(res, () => {
      answer(request, pathname, known)
    })
    return
  }
  // What has not been a file before may be somebody else's to answer, who should not wait.
  const wanted = known ?? plan(pathname, settings)
  if (typeof wanted === 'number') fail(request, wanted)
  else answer(request, pathname, wanted)
}

/** A path that is all of its URL, without what a parser has to look at, and not a mount's own. */
const PLAIN = /^\/[!-"$->@-~]+$/

/** Undefined: malformed. Empty: where this is mounted, without its slash. */
function pathOf(req: IncomingMessage): string | undefined {
  // What would be parsed is kept with the request, for as long as a slow reader takes.
  if (req.url !== undefined && PLAIN.test(req.url)) return req.url
  try {
    const pathname = parseUrl(req)?.pathname ?? undefined
    const isMount = pathname === '/' && parseUrl.original(req)?.pathname?.endsWith('/') !== true
    return isMount ? '' : pathname
  } catch {
    return undefined
  }
}

function answer(request: Request, pathname: string, wanted: Plan): void {
  if (!answerNow(request, pathname, wanted)) {
    answerLater(request, pathname, wanted).catch((error: unknown) => {
      report(request, error)
    })
  }
}

/** Whether nothing had to be waited for. */
function answerNow(request: Request, pathname: string, wanted: Plan): boolean {
  const { service, settings, req, res } = request
  const refused = refusalOf(res)
  if (settings.walk || (refused === undefined && !isReady(res))) return false
  const isAnswered = exclusively(() => {
    const found = findNow(wanted, settings, service.accepted(req.headers['accept-encoding']))
    if (found === undefined) return false
    conclude(request, pathname, wanted, found, refused)
    return true
  })
  return isAnswered === true
}

async function answerLater(request: Request, pathname: string, wanted: Plan): Promise<void> {
  const { service, settings, req, res } = request
  await turnOf(res)
  if (answerNow(request, pathname, wanted)) return
  const found = await findLater(wanted, settings, service.accepted(req.headers['accept-encoding']))
  if (typeof found === 'number') {
    conclude(request, pathname, wanted, found, undefined)
    return
  }
  try {
    await turnOf(res)
  } catch (error) {
    closeFile(found.file)
    throw error
  }
  exclusively(() => {
    const body = lookAt(found.file, WHOLE)
    conclude(request, pathname, wanted, { file: body, candidate: found.candidate }, refusalOf(res))
  })
}

async function turnOf(res: ServerResponse): Promise<void> {
  if (res instanceof ServerResponse) await settled(res, undefined)
}

/** Why the body goes through Node's streams. */
function refusalOf(res: ServerResponse): string | undefined {
  return res instanceof ServerResponse ? refusedResponse(res) : 'HTTP2'
}

function conclude(
  request: Request,
  pathname: string,
  wanted: Plan,
  found: Found<Body>,
  refused: string | undefined,
): void {
  const { service, settings, req, res } = request
  if (res.headersSent && (typeof found !== 'number' || found === EISDIR)) {
    if (typeof found !== 'number') closeFile(found.file)
    refuse(request, 500, new Error("Can't set headers after they are sent."))
  } else if (typeof found !== 'number') {
    remember(service, pathname, wanted)
    sendFile(request, found.candidate, found.file, refused)
  } else if (found === EISDIR && wanted.isNamed && !wanted.isFolder && settings.redirect) {
    redirect(req, res)
  } else {
    failToOpen(request, wanted, found)
  }
}

/** What is there and is no file has no error of the system. */
function failToOpen(request: Request, wanted: Plan, errno: number): void {
  const path = join(request.settings.root, wanted.candidates.at(-1)?.path ?? '')
  const explain = (): Error => systemError(errno, 'open', { path })
  if (errno === EISDIR || errno === ENXIO) fail(request, 404)
  else fail(request, MISSING.includes(errno) ? 404 : 500, explain)
}

function remember({ plans }: Service, pathname: string, wanted: Plan): void {
  if (plans.get(pathname) === wanted) return
  if (plans.size >= PLANS) plans.clear()
  plans.set(pathname, wanted)
}
