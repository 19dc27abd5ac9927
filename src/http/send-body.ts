// The sending half of a response whose body is a file: the head, then the body, each as short a way as its size allows.
//
// When a response's turn comes and what becomes of its errors is decided here too; which file, and what its head says,
// is the callers'.

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
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
import { abortError, zcioError, type Fallback, type Mechanism, type TransferError } from '../errors.js'
import { move, truncated, type TransferResult } from '../move.js'
import { descriptorOf, markHeadSent, pendingHead } from '../node-internals.js'
import { countBytes, countEnd, countStart } from '../stats.js'
import { BODY, closeFile, HEAD_ROOM, scratch, type Body } from './body.js'
import { respondByStream } from './respond-by-stream.js'
import type { Response } from './response.js'

const NO_FALLBACKS: readonly never[] = []

/** Whether a response that is not refused can be sent now: its turn has come, and nothing is queued before it. */
export function isReady(res: ServerResponse): boolean {
  const { socket } = res
  return socket !== null && !socket.destroyed && isQuiet(socket) && !isLent(socket)
}

/** The socket of a response whose turn it is and that has nothing else to send, unless it is Node that is to send. */
export async function settled(res: ServerResponse, signal: AbortSignal | undefined): Promise<Socket> {
  checkUnended(res, signal)
  const socket = await socketOf(res, signal)
  if (refusedResponse(res) === undefined) await quiet(socket, signal)
  checkUnended(res, signal)
  if (isGone(res)) throw closed(0)
  if (isLent(socket)) throw busy()
  return socket
}

/** Throws where the file is not wanted any more, or comes too late. */
export function checkUnended(res: Response['res'], signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal, { bytes: 0 })
  if (res.writableEnded) throw zcioError('ERR_STREAM_WRITE_AFTER_END', 'the response has already ended')
}

export function busy(): Error {
  return zcioError('ERR_ZCIO_BUSY', 'this response is already being sent; await that first')
}

/** Keeps other files from a response that is being sent; whatever its socket says, it says that the client is gone. */
export async function finish(
  res: Response['res'],
  sending: Promise<TransferResult>,
): Promise<TransferResult> {
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

/**
 * Sends head and body on a socket that is {@link isReady | ready}, and ends the response. `fields` are the whole of the
 * head beside its status, where nobody has set a header.
 */
export function sendBody(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  response: Response,
  fields?: OutgoingHttpHeaders,
): TransferResult | Promise<TransferResult> {
  try {
    checkDeclaredLength(res, body.length)
    composeHead(res, body.length, fields)
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

/** Sends them through Node's streams, and says why: `refused`. */
export function sendByNode(body: Body, response: Response, refused: string): Promise<TransferResult> {
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
