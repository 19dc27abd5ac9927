// A file as the body of an HTTP response: the first journey of ARCHITECTURE.md.
//
// Three ways, each as short as its size allows. Small: the file is read by the call that opens it, and leaves with
// the head in one send. To 64 KiB and in memory: the head, then one sendfile, on this thread. More, or not in
// memory: the engine moves it while JavaScript serves others. What must not go past Node (TLS, HTTP/2, chunks,
// compression) goes through its streams.

import type { FileHandle } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { isTraced, traced } from '../diagnostics.js'
import { closed, refusedResponse } from '../endpoint/response.js'
import { isLent } from '../endpoint/socket.js'
import { invalidType } from '../errors.js'
import type { Settled, TransferResult } from '../move.js'
import { checkFunction, checkOptions, checkRange, checkSignal } from '../options.js'
import type { ProgressReport } from '../pulse.js'
import { closeFile, exclusively, lookAt, lookNow, openFile, type Body, type Range } from './body.js'
import { respondByStream } from './respond-by-stream.js'
import type { Response } from './response.js'
import { reuse } from './reuse.js'
import { busy, checkUnended, isReady, sendBody, sendByNode, settled } from './send-body.js'
import { finish, keep } from './send-rest.js'
import { atTurnsEnd, leavesAtOnce } from './turn.js'

/** Options of {@link respondWithFile}. */
export interface RespondOptions {
  /** First byte to send, from 0. Default: 0. */
  start?: number
  /** Last byte to send, inclusive, as in `fs.createReadStream`. Default: the last of the file. */
  end?: number
  /** Stops the transfer; a response whose body has begun is destroyed, since its length is promised. */
  signal?: AbortSignal
  /** Called at most every 50 ms, and at the end. */
  onProgress?: (report: ProgressReport) => void
}

const OPTIONS = ['start', 'end', 'signal', 'onProgress']

/**
 * Sends a file, or a range of it, as the body of a response, and ends the response. Status and headers are the
 * caller's; `Content-Length` is set where it is absent. The connection is kept alive as the headers say.
 *
 * The file is sent by reference: what it contains when the client reads it is what the client gets. A file that
 * becomes shorter than its head declared destroys the connection.
 *
 * What nothing has to be waited for leaves in this turn of the event loop: at once, or, on a busy server, together with
 * the other responses when the turn ends. What is written to the response meanwhile comes after the file.
 *
 * @param res a response of `node:http`, `node:https` or `node:http2`; all but plain HTTP/1.1 with a declared
 *   length go through Node's streams, and `fallbacks` says why
 * @param file a path, or an open file that stays open: a `FileHandle` or a descriptor
 * @returns bytes of body that the kernel accepted, the mechanism that moved them, and why no better one did
 * @throws what `open(2)` says; `ERR_ZCIO_SOURCE_TRUNCATED`; `ERR_STREAM_PREMATURE_CLOSE` when the client goes;
 *   `ERR_HTTP_CONTENT_LENGTH_MISMATCH` before anything is sent; `AbortError`. All have `bytes`.
 */
export function respondWithFile(
  res: ServerResponse | Http2ServerResponse,
  file: string | FileHandle | number,
  options?: RespondOptions,
): Promise<TransferResult> {
  // Not async: the promise of a promise would cost a small response 2 % more.
  if (!isTraced()) return respondWith(res, file, options)
  const trace = { operation: 'respondWithFile', source: file, sink: res, options }
  return traced(trace, () => respondWith(res, file, options))
}

function respondWith(
  res: ServerResponse | Http2ServerResponse,
  file: string | FileHandle | number,
  options: RespondOptions | undefined,
): Promise<TransferResult> {
  return new Promise((resolve, reject) => {
    const response = check(res, options, { resolve, reject })
    if (!(res instanceof ServerResponse)) finish(response, respondByHttp2(file, response))
    // What is open may be closed before the turn ends.
    else if (typeof file !== 'string' || leavesAtOnce(res)) respondNow(res, file, response)
    else respondAtTurnsEnd(res, file, response)
  })
}

function check(res: Response['res'], options: RespondOptions | undefined, told: Settled): Response {
  const checked = checkOptions(options, OPTIONS)
  const range = checkRange(checked.start, checked.end)
  const signal = checkSignal('options.signal', checked.signal)
  const onProgress = checkFunction('options.onProgress', checked.onProgress)
  if (typeof (res as ServerResponse | undefined)?.writeHead !== 'function')
    throw invalidType('res', 'a ServerResponse', res)
  checkUnended(res, signal)
  if (isLent(res)) throw busy()
  return { res, range, signal, onProgress, told }
}

/** Anything may have become of the response meanwhile. */
function respondAtTurnsEnd(res: ServerResponse, file: string, response: Response): void {
  atTurnsEnd(res, () => {
    try {
      checkUnended(res, response.signal)
      respondNow(res, file, response)
    } catch (error) {
      response.told.reject(error)
    }
  })
}

function respondNow(res: ServerResponse, file: string | FileHandle | number, response: Response): void {
  if (respondAtOnce(res, file, response)) return
  const kept = keep(response)
  respondLater(res, file, kept).catch(kept.told.reject)
}

/** The short ways, where nothing has to be waited for: whether that is so. */
function respondAtOnce(res: ServerResponse, file: string | FileHandle | number, response: Response): boolean {
  const { socket } = res
  if (socket === null || !isReady(res) || refusedResponse(res) !== undefined) return false
  return lookAndSend(res, socket, response, () => lookOrReuse(file, response.range))
}

/** What others have found serves who wants all of it. */
function lookOrReuse(file: string | FileHandle | number, range: Range): Body | undefined {
  const isWhole = range.start === 0 && range.end === Infinity
  return (typeof file === 'string' && isWhole ? reuse(file) : undefined) ?? lookNow(file, range)
}

/** The long way: everything may have to be waited for, and anything may happen meanwhile. */
async function respondLater(
  res: ServerResponse,
  file: string | FileHandle | number,
  response: Response,
): Promise<void> {
  const socket = await settled(res, response.signal)
  if (respondAtOnce(res, file, response)) return
  const opened = await openFile(file)
  try {
    await settled(res, response.signal)
  } catch (error) {
    closeFile(opened)
    throw error
  }
  const look = (): Body => lookAt(opened, response.range)
  const refused = refusedResponse(res)
  if (refused !== undefined) sendByNode(look(), response, refused)
  else if (!lookAndSend(res, socket, response, look)) throw closed(0)
}

async function respondByHttp2(
  file: string | FileHandle | number,
  response: Response,
): Promise<TransferResult> {
  const opened = await openFile(file)
  try {
    checkUnended(response.res, response.signal)
  } catch (error) {
    closeFile(opened)
    throw error
  }
  return respondByStream(response, lookAt(opened, response.range), 'HTTP2')
}

/** A hook of `writeHead` may send another file meanwhile: that one has to go the long way. */
function lookAndSend(
  res: ServerResponse,
  socket: Socket,
  response: Response,
  look: () => Body | undefined,
): boolean {
  const isSent = exclusively(() => {
    const body = look()
    if (body === undefined) return false
    sendBody(res, socket, body, response)
    return true
  })
  return isSent === true
}
