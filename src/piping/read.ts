// `_read` of a file stream that knows the kernel's way: where the stream is piped to one destination that has a
// descriptor, the engine moves what is left of the file, and the stream ends. Everything else is Node's: its `pipe`
// and `pipeline`, its events, and the bytes too wherever a condition says so (conditions.ts).

import { WriteStream, type ReadStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { classifySink } from '../endpoint/classify.js'
import { lendSink } from '../endpoint/lend.js'
import type { LentSink } from '../endpoint/lent.js'
import type { TransferError } from '../errors.js'
import { move, truncated, type Move } from '../move.js'
import { markDidRead, pipesOf } from '../node-internals.js'
import { passes, refused, refusedFile, type Joint, type Reason } from './conditions.js'
import { watchFor, watchWrites } from './interruption.js'
import { look, stateOf, taken, type Look } from './look.js'
import { countAside, countRead, countRun } from './tally.js'

/** The `_read` of a Readable. */
export type Read = (this: ReadStream, size: number) => void

/** Wraps Node's `_read`, which goes on serving whatever the kernel cannot. */
export function kernelRead(byNode: Read): Read {
  return function read(size) {
    const reason = attempt(this, size, byNode, this._read === read)
    if (reason === undefined) return
    if (passes(reason)) setImmediate(readLater, this, size, byNode)
    else aside(this, size, byNode, reason)
  }
}

/** What Node was doing has come to rest, its own corks for a tick included: now it shows where the bytes go. */
function readLater(source: ReadStream, size: number, byNode: Read): void {
  if (source.destroyed) return
  const reason = attempt(source, size, byNode, true)
  if (reason !== undefined) aside(source, size, byNode, reason)
}

function aside(source: ReadStream, size: number, byNode: Read, reason: Reason): void {
  countAside(reason)
  byNode.call(source, size)
}

/** Starts the engine, or tells why not. */
function attempt(source: ReadStream, size: number, byNode: Read, isOwn: boolean): Reason | undefined {
  const [sink] = pipesOf(source)
  if (sink === undefined) return 'NOT_PIPED'
  if (!isOwn) return 'OVERRIDDEN'
  const reason = refused({ source, sink })
  if (reason !== undefined) return reason
  const joint = { source, sink, look: look(source) }
  if (isWhole(joint.look) && stateOf(source).pos !== undefined) {
    process.nextTick(give, source, taken(joint.look.read))
    return undefined
  }
  const refusal = refusedFile(joint)
  if (refusal !== undefined) return refusal
  void run(joint, size, byNode)
  return undefined
}

/** Whether a small file, or what is left of it, is in memory, and so already read. */
function isWhole({ left, read }: Look): boolean {
  return left > 0 && read === left
}

/** Gives the stream what Node would have read for it, when Node would. */
function give(source: ReadStream, chunk: Buffer): void {
  if (source.destroyed) return
  new Account(source).upTo(chunk.length)
  countRead(chunk.length)
  source.push(chunk)
}

/** One run of the engine, from the stream's position as far as it goes; then the stream is Node's again. */
async function run(joint: Required<Joint>, size: number, byNode: Read): Promise<void> {
  const { source, sink } = joint
  const stop = new AbortController()
  const unwatch = watchFor(source, sink, () => {
    stop.abort()
  })
  const account = new Account(source)
  const ended = await moveRest(joint, account, stop).catch((error: unknown) => {
    account.upTo((error as Partial<TransferError>).bytes ?? 0)
    return false
  })
  unwatch()
  if (account.sink) countRun(account.bytes)
  account.sink?.release()
  if (source.destroyed) return
  const missing = ended && account.sink?.declared !== undefined ? joint.look.left - account.bytes : 0
  if (missing > 0) cut(source, sink, truncated(account.bytes, joint.look.left))
  else if (ended) source.push(null)
  else aside(source, size, byNode, stop.signal.aborted ? 'INTERRUPTED' : 'FAILED')
}

/** Whether the file, or its wanted range, is through. */
async function moveRest(joint: Required<Joint>, account: Account, stop: AbortController): Promise<boolean> {
  const { sink } = joint
  const abort = (): void => {
    stop.abort()
  }
  const lent = await lendSink(classifySink(sink), stop.signal, abort)
  if ('refused' in lent) return false
  account.sink = lent
  const unwatch = watchWrites(sink, abort)
  try {
    const { bytes } = await move(job(joint, lent, account, stop.signal))
    account.upTo(bytes)
    return true
  } finally {
    unwatch()
  }
}

function job(
  { source, sink, look }: Required<Joint>,
  lent: LentSink,
  account: Account,
  signal: AbortSignal,
): Move {
  const { fd, pos } = stateOf(source)
  const isResponse = lent.declared !== undefined
  const length = isResponse ? look.left : look.wanted
  return {
    source: fd,
    sink: lent.fd,
    start: pos,
    sinkStart: lent.start,
    length: length === Infinity ? undefined : length,
    fallback: true,
    snapshot: false,
    isSinkSocket: isResponse,
    socket: lent.socket,
    reader: source,
    writer: sink instanceof WriteStream ? sink : undefined,
    signal,
    onProgress: ({ bytes }) => {
      account.upTo(bytes)
    },
  }
}

/** Keeps the books of both streams as if the bytes had gone through them. */
class Account {
  bytes = 0
  sink: LentSink | undefined
  readonly #source: ReadStream

  constructor(source: ReadStream) {
    this.#source = source
  }

  upTo(bytes: number): void {
    const more = bytes - this.bytes
    if (more <= 0) return
    this.bytes = bytes
    const state = stateOf(this.#source)
    state.bytesRead += more
    if (state.pos !== undefined) state.pos += more
    this.sink?.count(more)
    markDidRead(this.#source)
  }
}

/**
 * The file has become shorter than the head declares: the connection must go, or its client would take the next
 * response for the rest. Who listens for errors of the stream is told why; for others it ends, as Node's would.
 */
function cut(source: ReadStream, sink: Writable, error: Error): void {
  if (source.listenerCount('error') === 0) {
    source.push(null)
    sink.destroy()
    return
  }
  // Not before: a pipeline tells of the end that it hears of first.
  source.once('error', () => sink.destroy())
  source.destroy(error)
}
