// What is left of a response when its head has gone and the socket is full, or the file is not in memory: it waits for
// the client and the disk, while JavaScript serves others.
//
// A server has thousands of these at once, for slow readers: so each is one object, without promises and functions of
// its own, and what was only needed to begin is let go.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { guard } from '../endpoint/guard.js'
import { closed, endGuarded } from '../endpoint/response.js'
import { occupy, quiet, vacate } from '../endpoint/socket.js'
import type { Mechanism, TransferError } from '../errors.js'
import { moveFor, truncated, type Move, type Settled, type TransferResult } from '../move.js'
import { descriptorOf as socketDescriptor } from '../node-internals.js'
import { countBytes, countEnd, countStart } from '../stats.js'
import { closeFile, descriptorOf, type Body, type OpenFile } from './body.js'
import type { Response } from './response.js'

/** What the socket did not take at once: of the scratch buffer by Node, of the file by the engine. */
export function sendRest(
  res: ServerResponse,
  socket: Socket,
  body: Body,
  response: Response,
  moved: number,
  unsent: Buffer | undefined,
): void {
  guard(res)
  const rest = new Rest(res, socket, body, response)
  if (unsent === undefined) rest.send(moved)
  else sendFirst(rest, socket, unsent, moved, response.signal)
}

function sendFirst(
  rest: Rest,
  socket: Socket,
  unsent: Buffer,
  moved: number,
  signal: AbortSignal | undefined,
): void {
  socket.write(unsent)
  quiet(socket, signal).then(
    () => {
      rest.send(moved)
    },
    (error: unknown) => {
      rest.reject(error)
    },
  )
}

/** A body on its way: file, move, and who is told, in one object for the engine and for them. */
class Rest implements OpenFile, Move, Settled {
  readonly fd: number
  owner: OpenFile['owner']
  readonly handle: OpenFile['handle']
  start: number
  readonly total: number
  readonly read: boolean
  moved = 0
  readonly socket: Socket
  readonly signal: AbortSignal | undefined
  readonly onProgress: Response['onProgress']
  readonly fallback = true
  readonly snapshot = false
  readonly isSinkSocket = true
  readonly #res: ServerResponse
  readonly #told: Settled

  constructor(res: ServerResponse, socket: Socket, body: Body, { signal, onProgress, told }: Response) {
    this.fd = body.fd
    this.owner = body.owner
    this.handle = body.handle
    // It is closed from here.
    body.owner = 'caller'
    this.start = body.start
    this.total = body.length
    this.read = body.read
    this.socket = socket
    this.signal = signal
    this.onProgress = onProgress
    this.#res = res
    this.#told = told
  }

  get source(): number {
    return descriptorOf(this)
  }

  get sink(): number {
    return socketDescriptor(this.socket)
  }

  get length(): number {
    return this.total - this.moved
  }

  /** Sends what is left after so many bytes. */
  send(moved: number): void {
    try {
      if (this.socket.destroyed) throw closed(moved)
      if (this.read) {
        // Node has sent all of it by now.
        this.resolve(counted(this, this, 'read_write'))
        return
      }
      this.moved = moved
      this.start += moved
      moveFor(this, this)
      closeFile(this)
    } catch (error) {
      this.reject(error)
    }
  }

  resolve(result: TransferResult): void {
    if (result.bytes < this.total) this.reject(truncated(result.bytes, this.total))
    else if (this.#end()) this.#told.resolve(result)
  }

  reject(error: unknown): void {
    // The head has promised a length that cannot be kept: the client must not take what follows for the rest.
    this.socket.destroy()
    if (this.#end()) this.#told.reject(asClosed(error))
  }

  /** Ends the response; a call of JavaScript's that was kept may be one that throws. */
  #end(): boolean {
    try {
      closeFile(this)
      endGuarded(this.#res)
      return true
    } catch (error) {
      this.#told.reject(error)
      return false
    }
  }
}

/** Tells of a response that never reached the engine. */
export function done(body: Body, response: Response, mechanism: Mechanism): void {
  response.told.resolve(counted(body, response, mechanism))
}

function counted(
  { length }: Pick<Body, 'length'>,
  { onProgress }: Pick<Response, 'onProgress'>,
  mechanism: Mechanism,
): TransferResult {
  countStart(NO_FALLBACKS)
  countEnd(true)
  if (mechanism === 'read_write') countBytes(mechanism, length)
  onProgress?.({ bytes: length, total: length })
  return { bytes: length, mechanism, fallbacks: NO_FALLBACKS }
}

/** A response that takes no other file until it is told of. */
interface Kept extends Response {
  told: { resolve: (result: TransferResult) => void; reject: (error: unknown) => void }
}

/** Keeps other files from a response. */
export function keep(response: Response): Kept {
  const { res, told } = response
  const resolve = (result: TransferResult): void => {
    vacate(res)
    told.resolve(result)
  }
  const reject = (error: unknown): void => {
    vacate(res)
    told.reject(asClosed(error))
  }
  occupy(res)
  return { ...response, told: { resolve, reject } }
}

/** Tells how a response went that is sent by other means. */
export function finish(response: Response, sending: Promise<TransferResult>): void {
  const { told } = keep(response)
  sending.then(told.resolve, told.reject)
}

/** Whatever its socket says of a response, it says that the client is gone. */
function asClosed(error: unknown): unknown {
  const { code, side, bytes } = error as TransferError
  return side !== 'sink' || code === 'ERR_STREAM_PREMATURE_CLOSE' ? error : closed(bytes, error)
}

const NO_FALLBACKS: readonly never[] = []
