// The sending half of a response whose body is a file: the head, then the body, each as short a way as its size allows.
//
// When a response's turn comes is decided here too; which file, and what its head says, is the callers'.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { binding } from '../binding.js'
import {
  checkDeclaredLength,
  closed,
  composeHead,
  isBodyless,
  isGone,
  refusedBody,
  refusedResponse,
  socketOf,
} from '../endpoint/response.js'
import { isLent, isQuiet, quiet } from '../endpoint/socket.js'
import { abortError, zcioError, type Fallback } from '../errors.js'
import { descriptorOf, markHeadSent, pendingHead, type Headers } from '../node-internals.js'
import { quietBinding } from '../quiet.js'
import { countBytes, countEnd, countStart } from '../stats.js'
import { BODY, closeFile, HEAD_ROOM, scratch, type Body } from './body.js'
import { respondByStream } from './respond-by-stream.js'
import type { Response } from './response.js'
import { letGo } from './reuse.js'
import { done, finish, sendRest } from './send-rest.js'

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

/**
 * Sends head and body on a socket that is {@link isReady | ready}, and ends the response; until then it is
 * {@link finish | kept}. `headers` are the whole of the
 * head beside its status, where nobody has set a header.
 */
export function sendBody(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  response: Response,
  headers?: Headers,
): void {
  try {
    checkDeclaredLength(res, body.length)
    composeHead(res, body.length, headers)
  } catch (error) {
    closeFile(body)
    throw error
  }
  if (isBodyless(res)) {
    sendNoBody(res, body, response)
    return
  }
  const head = pendingHead(res) ?? ''
  const refused = refusedBody(res) ?? (head.length > HEAD_ROOM ? 'LONG_HEAD' : undefined)
  if (refused !== undefined) sendByNode(body, response, refused)
  else sendNow(res, socket, body, head, response)
}

function sendNoBody(res: ServerResponse, body: Body, { told }: Response): void {
  letGo(body)
  res.end()
  const fallbacks: Fallback[] = [{ mechanism: 'sendfile', code: 'NO_BODY' }]
  countStart(fallbacks)
  countEnd(true)
  told.resolve({ bytes: 0, mechanism: 'stream', fallbacks })
}

/** Sends them through Node's streams, and says why: `refused`. */
export function sendByNode(body: Body, response: Response, refused: string): void {
  if (!body.read) {
    finish(response, respondByStream(response, body, refused))
    return
  }
  closeFile(body)
  // What is in the scratch buffer is gone with the next request.
  const content = Buffer.from(scratch.subarray(BODY, BODY + body.length))
  finish(response, respondByStream(response, body, refused, content))
}

/** Sends what goes on this thread, then ends the response, or leaves the rest to who can wait. */
function sendNow(res: ServerResponse, socket: Socket, body: Body, head: string, response: Response): void {
  const sent = send(socket, body, head)
  markHeadSent(res)
  if (sent < head.length + body.length) {
    sendRest(res, socket, body, response, Math.max(0, sent - head.length), unsent(head, body, sent))
    return
  }
  letGo(body)
  res.end()
  done(body, response, body.read ? 'read_write' : 'sendfile')
}

/** The head, and the body: out of the scratch buffer, or of the file, or not now. Returns the bytes of both that went. */
function send(socket: Socket, body: Body, head: string): number {
  if (body.read) return sendScratch(socket, head, body.length, false)
  return body.resident ? sendWithFile(socket, body, head) : sendScratch(socket, head, 0, body.length > 0)
}

/** What is left in the scratch buffer. */
function unsent(head: string, body: Body, sent: number): Buffer | undefined {
  const from = BODY - head.length + sent
  const to = BODY + (body.read ? body.length : 0)
  return from < to ? Buffer.from(scratch.subarray(from, to)) : undefined
}

/** Sends the head and what follows it in the scratch buffer; returns the bytes that the socket took. */
function sendScratch(socket: Socket, head: string, length: number, more: boolean): number {
  const from = putHead(head)
  const to = BODY + length
  // An error is met again by Node, which can tell it.
  return from === to ? 0 : Math.max(0, binding().send(descriptorOf(socket), scratch, from, to, more))
}

/** Sends the head, then the file; returns the bytes of both. */
function sendWithFile(socket: Socket, { fd, start, length }: Body, head: string): number {
  const from = putHead(head)
  // An error is met again by Node, or by the engine.
  const sent = quietBinding().sendThenFile(descriptorOf(socket), scratch, from, BODY, fd, start, length)
  countBytes('sendfile', Math.max(0, sent - head.length))
  return Math.max(0, sent)
}

/** Puts the head before the body. */
function putHead(head: string): number {
  const from = BODY - head.length
  scratch.write(head, from, 'latin1')
  return from
}
