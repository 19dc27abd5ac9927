// `_read` of a socket that knows the kernel's way: where the socket is piped to one destination that has a descriptor,
// and has shown that it brings much, the engine moves what comes from then on. The end of it, and the bytes too
// wherever a condition says so (conditions.ts), are libuv's and Node's.

import { WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers'
import { isBeingRead, takeOver } from '../endpoint/receive.js'
import type { LentSink } from '../endpoint/lent.js'
import type { Move } from '../move.js'
import { descriptorOf, isReading, pipesOf, stopReading } from '../node-internals.js'
import { countAnew } from './bulk.js'
import { refused, type Reason } from './conditions.js'
import { run, type Ending } from './run.js'
import { countAside } from './tally.js'
import { passOn } from './told-once.js'

/** The `_read` of a socket. */
export type ReadSocket = (this: Socket, size: number) => void

/** Wraps Node's `_read`, which goes on serving whatever the kernel cannot. */
export function socketRead(byNode: ReadSocket): ReadSocket {
  return function read(size) {
    // Most sockets are never piped; they should not notice.
    const [sink] = pipesOf(this)
    if (sink === undefined || this.connecting) byNode.call(this, size)
    // What is asked for now will be given by the run that is about to end.
    else if (!isBeingRead(this)) attempt(this, sink, size, byNode, this._read === read)
  }
}

function attempt(source: Socket, sink: Writable, size: number, byNode: ReadSocket, isOwn: boolean): void {
  const reason: Reason | undefined = isOwn ? refused({ source, sink }) : 'OVERRIDDEN'
  if (reason === undefined) void pass(source, sink, size, byNode)
  else if (reason === 'BUFFERED' && sink instanceof WriteStream) holdBack(source, size, byNode)
  else aside(source, size, byNode, reason)
}

function aside(source: Socket, size: number, byNode: ReadSocket, reason: Reason): void {
  countAside(reason)
  byNode.call(source, size)
}

/** How often a stream is looked at that is to give what it holds, a ms apart: a file that takes longer is Node's. */
const LOOKS = 10

/**
 * A file takes a chunk in a thread, and libuv brings the next one meanwhile: without a pause the stream might hold
 * something whenever it is asked, until the end.
 */
function holdBack(source: Socket, size: number, byNode: ReadSocket, looks = LOOKS): void {
  stopReading(source)
  setTimeout(() => {
    // Who has taken it meanwhile has it read on, too, and may have given what was asked for.
    if (source.destroyed || isBeingRead(source) || !isReading(source)) return
    if (source.readableLength === 0) source._read(size)
    else if (looks > 1) holdBack(source, size, byNode, looks - 1)
    else aside(source, size, byNode, 'BUFFERED')
  }, 1)
}

/** Calls after which the stream needs another run, or none: what it gives, and whether it is waited for, has changed. */
const STOPPERS = { source: ['setEncoding', 'setTimeout', 'unref'], sink: ['write'] }
const STOPPERS_OF_SOCKETS = { ...STOPPERS, sink: ['write', 'setTimeout'] }

/** A run as far as it goes; then the socket is Node's again, as if libuv had read it all the time. */
async function pass(source: Socket, sink: Writable, size: number, byNode: ReadSocket): Promise<void> {
  const giveBack = takeOver(source)
  let residual: Buffer | undefined
  const { ended } = run({
    source,
    sink,
    job: (lent) => {
      const putBack = (bytes: Buffer): boolean => {
        residual = bytes
        return true
      }
      return { ...job(source, lent), putBack }
    },
    // The counts of sockets are asked for; those of a file are told.
    live: sink instanceof WriteStream,
    stoppers: sink instanceof Socket ? STOPPERS_OF_SOCKETS : STOPPERS,
  })
  const ending = await ended
  // What is thrown by who listens is an exception that nobody has caught, and not a promise that was rejected.
  process.nextTick(() => {
    giveBack()
    countAnew(source)
    resume(source, sink, ending, residual, () => {
      byNode.call(source, size)
    })
  })
}

function job(source: Socket, lent: LentSink): Move {
  return {
    source: descriptorOf(source),
    sink: lent.fd,
    sinkStart: lent.start,
    fallback: true,
    snapshot: false,
    isSinkSocket: false,
    sourceSocket: source,
    socket: lent.socket,
  }
}

/** Node reads on: what the sink did not take comes first; an end comes again; an error does not, and is told. */
function resume(
  source: Socket,
  sink: Writable,
  { reason, error }: Ending,
  residual: Buffer | undefined,
  readOn: () => void,
): void {
  if (source.destroyed) return
  if (reason !== undefined) countAside(reason)
  // What the sink had no room for Node would not have written to it before its end.
  if (residual !== undefined && sink.writableEnded && pipesOf(source).includes(sink)) source.pause()
  if (residual !== undefined) source.push(residual)
  else if (isReading(source)) readOn()
  if (error?.side === 'source') passOn(error, source, 'read')
}
