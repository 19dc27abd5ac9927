// `_read` of a file stream that knows the kernel's way: where the stream is piped to one destination that has a
// descriptor, the engine moves what is left of the file, and the stream ends. Everything else is Node's: its `pipe`
// and `pipeline`, its events, and the bytes too wherever a condition says so (conditions.ts).

import type { ReadStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { setImmediate } from 'node:timers'
import type { LentSink } from '../endpoint/lent.js'
import { truncated, type Move } from '../move.js'
import { pipesOf } from '../node-internals.js'
import { isLittle, passes, refused, refusedFile, type Looked, type Reason } from './conditions.js'
import { look, stateOf } from './look.js'
import { readNow } from './read-now.js'
import { run } from './run.js'
import { countAside } from './tally.js'

/** The `_read` of a file stream. */
export type ReadFile = (this: ReadStream, size: number) => void

/** Wraps Node's `_read`, which goes on serving whatever the kernel cannot. */
export function fileRead(byNode: ReadFile): ReadFile {
  return function read(size) {
    const reason = attempt(this, size, byNode, this._read === read)
    if (reason === undefined) return
    if (passes(reason)) setImmediate(readLater, this, size, byNode)
    else aside(this, size, byNode, reason)
  }
}

/** What Node was doing has come to rest, its own corks for a tick included: now it shows where the bytes go. */
function readLater(source: ReadStream, size: number, byNode: ReadFile): void {
  if (source.destroyed) return
  const reason = attempt(source, size, byNode, true)
  if (reason !== undefined) aside(source, size, byNode, reason)
}

function aside(source: ReadStream, size: number, byNode: ReadFile, reason: Reason): void {
  countAside(reason)
  const readMore = (): void => {
    byNode.call(source, size)
  }
  if (isLittle(reason)) readNow(source, readMore)
  else readMore()
}

/** Starts the engine, or tells why not. */
function attempt(source: ReadStream, size: number, byNode: ReadFile, isOwn: boolean): Reason | undefined {
  const [sink] = pipesOf(source)
  if (sink === undefined) return 'NOT_PIPED'
  if (!isOwn) return 'OVERRIDDEN'
  const reason = refused({ source, sink })
  if (reason !== undefined) return reason
  const joint = { source, sink, look: look(source) }
  const refusal = refusedFile(joint)
  if (refusal !== undefined) return refusal
  void pass(joint, size, byNode)
  return undefined
}

function took(source: ReadStream, bytes: number): void {
  const state = stateOf(source)
  state.bytesRead += bytes
  if (state.pos !== undefined) state.pos += bytes
}

/** A run from the stream's position as far as it goes; then the stream is Node's again. */
async function pass(joint: Looked, size: number, byNode: ReadFile): Promise<void> {
  const { source, sink } = joint
  let declared: number | undefined
  const { ended } = run({
    source,
    sink,
    job: (lent) => {
      declared = lent.declared
      return job(joint, lent)
    },
    took: (bytes) => {
      took(source, bytes)
    },
    live: true,
    stoppers: { source: [], sink: ['write'] },
  })
  const { bytes, reason } = await ended
  if (source.destroyed) return
  const missing = reason === undefined && declared !== undefined ? joint.look.left - bytes : 0
  if (missing > 0) cut(source, sink, truncated(source.bytesRead, source.bytesRead + missing))
  else if (reason === undefined) source.push(null)
  else aside(source, size, byNode, reason)
}

function job({ source, look }: Looked, lent: LentSink): Move {
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
