// One run of the engine from a piped stream to its destination: to the end of the source, unless JavaScript wants one of
// the two otherwise, or the kernel refuses. What a source is, and what becomes of it then, its own module knows.

import { ReadStream, WriteStream } from 'node:fs'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { classifySink } from '../endpoint/classify.js'
import { holdOpen } from '../endpoint/hold-open.js'
import { lendSink } from '../endpoint/lend.js'
import type { LentSink } from '../endpoint/lent.js'
import { release, reserve } from '../endpoint/socket.js'
import type { TransferError } from '../errors.js'
import { move, type Move } from '../move.js'
import { markDidRead } from '../node-internals.js'
import { watchCalls, watchFor } from './interruption.js'
import { countRun } from './tally.js'
import { passOn } from './told-once.js'

/** A stream on its way to another. */
export interface Way {
  source: Readable
  sink: Writable
  /** What the engine is to do, once the sink is lent. */
  job: (sink: LentSink) => Move
  /** Told how many more bytes have moved. */
  took?: (bytes: number) => void
  /** Whether the counts of the streams are kept while the bytes move, every 50 ms, and not only afterwards. */
  live: boolean
  /** Methods whose call by JavaScript stops the run, beside what {@link watchFor} watches for. */
  stoppers: { source: readonly string[]; sink: readonly string[] }
}

/** How a run went. */
export interface Ending {
  bytes: number
  /** Why it stopped before the end of the source. */
  reason?: 'INTERRUPTED' | 'FAILED'
  error?: Partial<TransferError>
}

/** A run under way. */
export interface Run {
  /** Never rejects. The sink is given back by then. */
  ended: Promise<Ending>
  stop: () => void
}

/** Starts a run. */
export function run(way: Way): Run {
  const stopping = new AbortController()
  const stop = (): void => {
    stopping.abort()
  }
  return { ended: go(way, stopping.signal, stop), stop }
}

async function go(way: Way, signal: AbortSignal, stop: () => void): Promise<Ending> {
  const { source, sink, stoppers } = way
  const unwatch = [watchFor(source, sink, stop), watchCalls(source, stoppers.source, stop)]
  const held = [source, sink].filter(isOfFile).map((stream) => holdOpen(stream, stop))
  const account = new Account(way)
  try {
    const lent = await lendSink(classifySink(sink), signal, stop)
    if ('refused' in lent) return { bytes: 0, reason: 'FAILED' }
    account.sink = lent
    if (lent.socket && lent.socket !== sink) held.push(keepEnds(lent.socket, stop))
    unwatch.push(watchCalls(sink, stoppers.sink, stop))
    const { bytes } = await move(jobOf(way, lent, account, signal))
    account.upTo(bytes)
    return { bytes }
  } catch (thrown) {
    const error = thrown as Partial<TransferError>
    account.upTo(error.bytes ?? 0)
    // Before the sink is given back: else its end comes first, which libuv sees in place of what the engine was told.
    const connection = account.sink?.socket
    if (connection && error.side === 'sink') passOn(error, connection, 'write')
    return { bytes: account.bytes, reason: error.code === 'ABORT_ERR' ? 'INTERRUPTED' : 'FAILED', error }
  } finally {
    for (const end of unwatch) end()
    account.close()
    for (const letGo of held) letGo()
  }
}

/** The connection of a response, whose peer may end before it has all: as of a socket, an end waits for the run. */
function keepEnds(connection: Socket, stop: () => void): () => void {
  reserve(connection, stop)
  return () => {
    release(connection)
  }
}

function isOfFile(stream: Readable | Writable): stream is ReadStream | WriteStream {
  return stream instanceof ReadStream || stream instanceof WriteStream
}

function jobOf({ job, live }: Way, lent: LentSink, account: Account, signal: AbortSignal): Move {
  const onProgress = ({ bytes }: { bytes: number }): void => {
    account.upTo(bytes)
  }
  return Object.assign(job(lent), { signal, onProgress: live ? onProgress : undefined })
}

/** Keeps the books of both streams as if the bytes had gone through them. */
class Account {
  bytes = 0
  sink: LentSink | undefined
  readonly #way: Way

  constructor(way: Way) {
    this.#way = way
  }

  upTo(bytes: number): void {
    const more = bytes - this.bytes
    if (more <= 0) return
    this.bytes = bytes
    this.#way.took?.(more)
    this.sink?.count(more)
    markDidRead(this.#way.source)
  }

  /** Gives the sink back. */
  close(): void {
    if (this.sink === undefined) return
    countRun(this.bytes)
    this.sink.release()
  }
}
