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
import { binding } from '../binding.js'
import {
  checkDeclaredLength,
  closed,
  composeHead,
  guard,
  isBodyless,
  isGone,
  refusedBody,
  refusedResponse,
  socketOf,
} from '../endpoint/response.js'
import { isLent, isQuiet, occupy, quiet } from '../endpoint/socket.js'
import { isTraced, traced } from '../diagnostics.js'
import {
  abortError,
  invalidType,
  zcioError,
  type Fallback,
  type Mechanism,
  type TransferError,
} from '../errors.js'
import { move, truncated, type TransferResult } from '../move.js'
import { descriptorOf, markHeadSent, pendingHead } from '../node-internals.js'
import { checkFunction, checkOptions, checkRange, checkSignal } from '../options.js'
import type { ProgressReport } from '../pulse.js'
import { countBytes, countEnd, countStart } from '../stats.js'
import { BODY, closeFile, HEAD_ROOM, lookAt, lookNow, openFile, scratch, type Body } from './body.js'
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
  if (!isTraced()) return respondWith(res, file, options)
  const trace = { operation: 'respondWithFile', source: file, sink: res, options }
  return traced(trace, () => respondWith(res, file, options))
}

async function respondWith(
  res: ServerResponse | Http2ServerResponse,
  file: string | FileHandle | number,
  options: RespondOptions | undefined,
): Promise<TransferResult> {
  const checked = checkOptions(options, OPTIONS)
  const range = checkRange(checked.start, checked.end)
  const signal = checkSignal('options.signal', checked.signal)
  const onProgress = checkFunction('options.onProgress', checked.onProgress)
  if (typeof (res as ServerResponse | undefined)?.writeHead !== 'function')
    throw invalidType('res', 'a ServerResponse', res)
  checkUnended(res, signal)
  if (isLent(res)) throw busy()
  const response = { res, range, signal, onProgress }
  const sending =
    res instanceof ServerResponse
      ? (respondAtOnce(res, file, response) ?? respond(res, file, response))
      : respondByHttp2(file, response)
  return sending instanceof Promise ? finish(res, sending) : sending
}

/** Throws where the file is not wanted any more, or comes too late. */
function checkUnended(res: Response['res'], signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal, { bytes: 0 })
  if (res.writableEnded) throw zcioError('ERR_STREAM_WRITE_AFTER_END', 'the response has already ended')
}

function busy(): Error {
  return zcioError('ERR_ZCIO_BUSY', 'this response is already being sent; await that first')
}

/** Keeps other files from a response that is being sent; whatever its socket says, it says that the client is gone. */
async function finish(res: Response['res'], sending: Promise<TransferResult>): Promise<TransferResult> {
  const release = occupy(res)
  try {
    return await sending
  } catch (error) {
    const { code, side, bytes } = error as TransferError
    if (side !== 'sink' || code === 'ERR_STREAM_PREMATURE_CLOSE') throw error
    throw closed(bytes, error)
  } finally {
    release()
  }
}

/** The short ways, where nothing has to be waited for. */
function respondAtOnce(
  res: ServerResponse,
  file: string | FileHandle | number,
  response: Response,
): TransferResult | Promise<TransferResult> | undefined {
  const { socket } = res
  if (socket === null || socket.destroyed || !isQuiet(socket) || isLent(socket)) return undefined
  if (refusedResponse(res) !== undefined) return undefined
  return lookAndSend(res, socket, response, () => lookNow(file, response.range))
}

/** The long way: everything may have to be waited for, and anything may happen meanwhile. */
async function respond(
  res: ServerResponse,
  file: string | FileHandle | number,
  response: Response,
): Promise<TransferResult> {
  const socket = await settled(res, response.signal)
  const short = respondAtOnce(res, file, response)
  if (short !== undefined) return short
  const opened = await openFile(file)
  try {
    await settled(res, response.signal)
  } catch (error) {
    closeFile(opened)
    throw error
  }
  const look = (): Body => lookAt(opened, response.range)
  const refused = refusedResponse(res)
  if (refused !== undefined) return respondByStream(response, look(), refused)
  return lookAndSend(res, socket, response, look) ?? Promise.reject(closed(0))
}

/** The socket of a response whose turn it is and that has nothing else to send, unless it is Node that is to send. */
async function settled(res: ServerResponse, signal: AbortSignal | undefined): Promise<Socket> {
  checkUnended(res, signal)
  const socket = await socketOf(res, signal)
  if (refusedResponse(res) === undefined) await quiet(socket, signal)
  checkUnended(res, signal)
  if (isGone(res)) throw closed(0)
  if (isLent(socket)) throw busy()
  return socket
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

/** Between the look at a file and its sending the scratch buffer is in use. */
let inUse = false

/** A hook of `writeHead` may send another file meanwhile: that one has to go the long way. */
function lookAndSend(
  res: ServerResponse,
  socket: Socket,
  response: Response,
  look: () => Body | undefined,
): TransferResult | Promise<TransferResult> | undefined {
  if (inUse) return undefined
  inUse = true
  try {
    const body = look()
    return body && send(res, socket, body, response)
  } finally {
    inUse = false
  }
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
    composeHead(res, body.length)
  } catch (error) {
    closeFile(body)
    throw error
  }
  if (isBodyless(res)) return sendNoBody(res, body)
  const head = pendingHead(res) ?? ''
  const refused = refusedBody(res) ?? (head.length > HEAD_ROOM ? 'LONG_HEAD' : undefined)
  if (refused !== undefined) return sendByNode(body, response, refused)
  return body.read
    ? sendSmall(res, socket, body, head, response)
    : sendFile(res, socket, body, head, response)
}

function sendNoBody(res: ServerResponse, body: Body): TransferResult {
  closeFile(body)
  res.end()
  const fallbacks: Fallback[] = [{ mechanism: 'sendfile', code: 'NO_BODY' }]
  countStart(fallbacks)
  countEnd(true)
  return { bytes: 0, mechanism: 'stream', fallbacks }
}

function sendByNode(body: Body, response: Response, refused: string): Promise<TransferResult> {
  if (!body.read) return respondByStream(response, body, refused)
  closeFile(body)
  // What is in the scratch buffer is gone with the next request.
  const content = Buffer.from(scratch.subarray(BODY, BODY + body.length))
  return respondByStream(response, body, refused, content)
}

/** Head and body lie side by side in the scratch buffer: one call. */
function sendSmall(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  head: string,
  response: Response,
): TransferResult | Promise<TransferResult> {
  closeFile(body)
  const unsent = sendScratch(res, socket, head, body.length, false)
  if (unsent !== undefined) {
    return sendRest(res, socket, body, response, Math.max(0, body.length - unsent.length), unsent)
  }
  res.end()
  return done(body, response, 'read_write')
}

/** The head, then as much of the file as goes on this thread, then the engine. */
function sendFile(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  head: string,
  response: Response,
): TransferResult | Promise<TransferResult> {
  const unsent = sendScratch(res, socket, head, 0, body.length > 0)
  const moved = unsent === undefined ? sendInline(socket, body) : 0
  if (unsent !== undefined || moved < body.length) {
    return sendRest(res, socket, body, response, moved, unsent)
  }
  closeFile(body)
  res.end()
  return done(body, response, 'sendfile')
}

function sendInline(socket: Socket, body: Body): number {
  if (!body.resident) return 0
  // An error is met again by the engine, which can tell it.
  const sent = Math.max(0, binding().sendFile(descriptorOf(socket), body.fd, body.start, body.length))
  countBytes('sendfile', sent)
  return sent
}

function done({ length }: Body, { onProgress }: Response, mechanism: Mechanism): TransferResult {
  countStart(NO_FALLBACKS)
  countEnd(true)
  if (mechanism === 'read_write') countBytes(mechanism, length)
  onProgress?.({ bytes: length, total: length })
  return { bytes: length, mechanism, fallbacks: NO_FALLBACKS }
}

/** Sends the head and what follows it in the scratch buffer; returns what the socket did not take. */
function sendScratch(
  res: ServerResponse,
  socket: Socket,
  head: string,
  length: number,
  more: boolean,
): Buffer | undefined {
  const from = BODY - head.length
  const to = BODY + length
  scratch.write(head, from, 'latin1')
  // An error is met again by Node, which can tell it.
  const sent = from === to ? 0 : Math.max(0, binding().send(descriptorOf(socket), scratch, from, to, more))
  markHeadSent(res)
  return from + sent === to ? undefined : Buffer.from(scratch.subarray(from + sent, to))
}

/** What the socket did not take at once: of the scratch buffer by Node, of the file by the engine. */
async function sendRest(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  response: Response,
  moved: number,
  unsent: Buffer | undefined,
): Promise<TransferResult> {
  const end = guard(res)
  try {
    if (unsent !== undefined) {
      socket.write(unsent)
      await quiet(socket, response.signal)
    }
    if (socket.destroyed) throw closed(moved)
    if (body.read) return done(body, response, 'read_write')
    const result = await moveRest(socket, body, response, moved)
    if (result.bytes < body.length) throw truncated(result.bytes, body.length)
    return result
  } catch (error) {
    // The head has promised a length that cannot be kept: the client must not take what follows for the rest.
    socket.destroy()
    throw error
  } finally {
    closeFile(body)
    end()
  }
}

function moveRest(socket: Socket, body: Body, response: Response, moved: number): Promise<TransferResult> {
  const moving = move({
    source: body.fd,
    sink: descriptorOf(socket),
    start: body.start + moved,
    length: body.length - moved,
    fallback: true,
    snapshot: false,
    isSinkSocket: true,
    socket,
    moved,
    signal: response.signal,
    onProgress: response.onProgress,
    total: body.length,
  })
  closeFile(body)
  return moving
}
