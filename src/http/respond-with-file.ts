// A file as the body of an HTTP response: the first journey of ARCHITECTURE.md.
//
// Three ways, each as short as its size allows. Small: the file is read by the call that opens it, and leaves with
// the head in one send. To 64 KiB and in memory: the head, then one sendfile, on this thread. More, or not in
// memory: the engine moves it while JavaScript serves others. What must not go past Node (TLS, HTTP/2, chunks,
// compression) goes through its streams.

import { constants as os } from 'node:os'
import type { FileHandle } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import { binding } from '../binding.js'
import {
  checkDeclaredLength,
  closed,
  declareLength,
  guardEnd,
  isBodyless,
  refusedBody,
  refusedResponse,
  socketOf,
} from '../endpoint/response.js'
import { isLent, isQuiet, quiet } from '../endpoint/socket.js'
import { abortError, invalidType, systemError, zcioError } from '../errors.js'
import { move, truncated, type TransferResult } from '../move.js'
import { descriptorOf, markHeadSent, pendingHead } from '../node-internals.js'
import { checkFunction, checkOptions, checkRange, checkSignal } from '../options.js'
import type { ProgressReport } from '../pulse.js'
import { BODY, closeBody, HEAD_ROOM, openBody, openBodyNow, scratch, type Body } from './body.js'
import { respondByStream } from './respond-by-stream.js'
import type { Response } from './response.js'

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

/** To this length a file that is in memory is sent by one call on the JavaScript thread: about 15 µs. */
const INLINE = 64 * 1024

const EAGAIN = -os.errno.EAGAIN
const NO_FALLBACKS: readonly never[] = []
const OPTIONS = ['start', 'end', 'signal', 'onProgress']

/**
 * Sends a file, or a range of it, as the body of a response, and ends the response. Status and headers are the
 * caller's; `Content-Length` is set where it is absent. The connection is kept alive as the headers say.
 *
 * The file is sent by reference: what it contains when the client reads it is what the client gets. A file that
 * becomes shorter than its head declared destroys the connection.
 *
 * @param res a response of `node:http`, `node:https` or `node:http2`; all but plain HTTP/1.1 with a declared
 *   length go through Node's streams, and `fallbacks` says why
 * @param file a path, or an open file that stays open: a `FileHandle` or a descriptor
 * @returns bytes of body that the kernel accepted, the mechanism that moved them, and why no better one did
 * @throws what `open(2)` says; `ERR_ZCIO_SOURCE_TRUNCATED`; `ERR_STREAM_PREMATURE_CLOSE` when the client goes;
 *   `ERR_HTTP_CONTENT_LENGTH_MISMATCH` before anything is sent; `AbortError`. All have `bytes`.
 */
export async function respondWithFile(
  res: ServerResponse | Http2ServerResponse,
  file: string | FileHandle | number,
  options?: RespondOptions,
): Promise<TransferResult> {
  const checked = checkOptions(options, OPTIONS)
  const range = checkRange(checked.start, checked.end)
  const signal = checkSignal('options.signal', checked.signal)
  const onProgress = checkFunction('options.onProgress', checked.onProgress)
  if (typeof (res as ServerResponse | undefined)?.writeHead !== 'function')
    throw invalidType('res', 'a ServerResponse', res)
  if (signal?.aborted) throw abortError(signal, { bytes: 0 })
  if (res.writableEnded) throw zcioError('ERR_STREAM_WRITE_AFTER_END', 'the response has already ended')
  const response = { res, range, signal, onProgress }
  if (!(res instanceof ServerResponse)) return respondByStream(response, await openBody(file, range), 'HTTP2')
  return respondAtOnce(res, file, response) ?? respond(res, file, response)
}

/** The short ways, where nothing has to be waited for. */
function respondAtOnce(
  res: ServerResponse,
  file: string | FileHandle | number,
  response: Response,
): TransferResult | Promise<TransferResult> | undefined {
  const { socket } = res
  if (typeof file !== 'string' || socket === null || !isQuiet(socket) || isLent(socket)) return undefined
  if (refusedResponse(res) !== undefined || socket.destroyed) return undefined
  const body = openBodyNow(file, response.range)
  return body === undefined ? undefined : send(res, socket, body, response)
}

/** The long way: everything may have to be waited for. */
async function respond(
  res: ServerResponse,
  file: string | FileHandle | number,
  response: Response,
): Promise<TransferResult> {
  const socket = await socketOf(res, response.signal)
  if (isLent(socket))
    throw zcioError('ERR_ZCIO_BUSY', 'this response is already being sent; await that first')
  const refused = refusedResponse(res)
  if (refused !== undefined) return respondByStream(response, await openBody(file, response.range), refused)
  if (!isQuiet(socket)) await quiet(socket)
  const short = respondAtOnce(res, file, response)
  if (short !== undefined) return short
  const body = await openBody(file, response.range)
  while (!socket.destroyed && !isQuiet(socket)) await quiet(socket)
  return send(res, socket, body, response)
}

/** Head and body, on a socket that is ours for the moment. */
function send(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  response: Response,
): TransferResult | Promise<TransferResult> {
  try {
    checkDeclaredLength(res, body.length)
    declareLength(res, body.length)
    if (!res.headersSent) res.writeHead(res.statusCode)
  } catch (error) {
    closeBody(body)
    throw error
  }
  if (isBodyless(res)) return sendNoBody(res, body)
  const head = pendingHead(res) ?? ''
  const refused = refusedBody(res) ?? (head.length > HEAD_ROOM ? 'LONG_HEAD' : undefined)
  if (refused !== undefined) return sendByNode(res, body, response, refused)
  return body.fd < 0 ? sendSmall(res, socket, body, head) : sendFile(res, socket, body, head, response)
}

function sendNoBody(res: ServerResponse, body: Body): TransferResult {
  closeBody(body)
  res.end()
  return { bytes: 0, mechanism: 'stream', fallbacks: [{ mechanism: 'sendfile', code: 'NO_BODY' }] }
}

function sendByNode(
  res: ServerResponse,
  body: Body,
  response: Response,
  refused: string,
): TransferResult | Promise<TransferResult> {
  if (body.fd >= 0) return respondByStream(response, body, refused)
  // What is in the scratch buffer is gone with the next request.
  res.end(Buffer.from(scratch.subarray(BODY, BODY + body.length)))
  return { bytes: body.length, mechanism: 'stream', fallbacks: [{ mechanism: 'sendfile', code: refused }] }
}

/** Head and body lie side by side in the scratch buffer: one call. */
function sendSmall(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  head: string,
): TransferResult | Promise<TransferResult> {
  const rest = sendScratch(res, socket, head, body.length, false)
  const result: TransferResult = { bytes: body.length, mechanism: 'read_write', fallbacks: NO_FALLBACKS }
  if (rest !== undefined) return rest.then(() => result)
  res.end()
  return result
}

/** The head, then as much of the file as goes on this thread, then the engine. */
function sendFile(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  head: string,
  response: Response,
): TransferResult | Promise<TransferResult> {
  const rest = sendScratch(res, socket, head, 0, body.length > 0)
  if (rest !== undefined) return rest.then(() => sendByEngine(res, socket, body, 0, response))
  const moved = body.length <= INLINE ? sendInline(socket, body) : 0
  if (moved < body.length) return sendByEngine(res, socket, body, moved, response)
  closeBody(body)
  res.end()
  return { bytes: moved, mechanism: 'sendfile', fallbacks: NO_FALLBACKS }
}

function sendInline(socket: Socket, body: Body): number {
  if (body.length === 0) return 0
  // An error is met again by the engine, which can tell it.
  return Math.max(0, binding().sendFile(descriptorOf(socket), body.fd, body.start, body.length))
}

/** Sends the head and what follows it in the scratch buffer; a promise where the socket did not take all at once. */
function sendScratch(
  res: ServerResponse,
  socket: Socket,
  head: string,
  length: number,
  more: boolean,
): Promise<void> | undefined {
  const from = BODY - head.length
  const to = BODY + length
  scratch.write(head, from, 'latin1')
  const sent = from === to ? 0 : binding().send(descriptorOf(socket), scratch, from, to, more)
  markHeadSent(res)
  if (from + sent === to) return undefined
  if (sent >= 0 || sent === EAGAIN)
    return sendLater(res, socket, scratch.subarray(from + Math.max(0, sent), to), !more)
  socket.destroy()
  throw systemError(-sent, 'sendto', { side: 'sink' })
}

async function sendLater(res: ServerResponse, socket: Socket, bytes: Buffer, isAll: boolean): Promise<void> {
  socket.write(Buffer.from(bytes))
  if (isAll) res.end()
  await quiet(socket)
}

async function sendByEngine(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  moved: number,
  response: Response,
): Promise<TransferResult> {
  if (socket.destroyed) {
    closeBody(body)
    throw closed(moved)
  }
  const end = guardEnd(res)
  try {
    const moving = move({
      source: body.fd,
      sink: descriptorOf(socket),
      start: body.start + moved,
      length: body.length - moved,
      fallback: true,
      snapshot: false,
      isStreamSocket: true,
      socket,
      moved,
      signal: response.signal,
      onProgress: response.onProgress,
      total: body.length,
    })
    closeBody(body)
    const result = await moving
    if (result.bytes < body.length) throw truncated(result.bytes, body.length)
    return result
  } catch (error) {
    // The head has promised a length that cannot be kept: the client must not take what follows for the rest.
    socket.destroy()
    throw error
  } finally {
    end()
  }
}
