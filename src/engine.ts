// This thread's door to the reactor: starts transfers, settles their promises, keeps the process alive meanwhile.
//
// One native Engine per JavaScript thread, made by the first transfer.

import { AsyncResource } from 'node:async_hooks'
import { constants as os } from 'node:os'
import { binding, type NativeEnding, type NativeEngine, type NativeSink } from './binding.js'
import {
  systemError,
  zcioError,
  type Fallback,
  type Mechanism,
  type Side,
  type TransferError,
} from './errors.js'
import { holdProcess, letGoOfProcess } from './hold-process.js'
import type { Bytes } from './options.js'

/** What one transfer on descriptors is to do. The engine duplicates them at once. */
export interface Job {
  source: number
  sink: number
  start?: Bytes | undefined
  sinkStart?: Bytes | undefined
  length?: Bytes | undefined
  fallback: boolean
  snapshot: boolean
  /** Mechanisms not to be used. */
  disable?: string[] | undefined
  /** The sink is known to be a connected, nonblocking stream socket; saves asking. */
  isSinkSocket: boolean
  /** Bytes read from the source before; they go first. */
  head?: Buffer | undefined
}

/** What the engine reports of a transfer, whichever way it ended. */
export interface Outcome {
  bytes: number
  mechanism: Mechanism
  fallbacks: Fallback[]
  residual: Buffer | undefined
  /** Of a fan-out: what became of each sink. */
  sinks: SinkOutcome[]
  /** Why it ended early. */
  failure: TransferError | undefined
  /** It ended early because it was told to. */
  canceled: boolean
  /** Why the engine cannot have the descriptors though Node's streams can, if that is so. Nothing has moved. */
  declined: string | undefined
}

/** What became of one sink of a fan-out. */
export interface SinkOutcome {
  bytes: number
  mechanism: Mechanism
  /** Why it was left out. */
  error?: TransferError
}

/** One direction of a bridge, or a fan-out, under way. */
export interface Run {
  readonly ended: Promise<Outcome>
  /** Bytes that the sink has accepted so far. */
  readonly bytes: () => number
  /** Asks it to stop as soon as its thread looks. */
  readonly cancel: () => void
  /** The same, and tells the peer of that end now: for a socket that JavaScript has destroyed. */
  readonly hangUp: (side: Side) => void
}

let engine: NativeEngine | undefined
const pending = new Map<number, Waiting>()

/** Who is told how a transfer has ended; must not throw, since it is told of many at once. */
interface Waiting {
  settle(outcome: Outcome): void
}

/**
 * A transfer between two descriptors, in one object: a server has thousands that wait for slow readers. It ends in the
 * asynchronous context that it was started in, as if it had been awaited there.
 */
export abstract class Running extends AsyncResource implements Waiting {
  readonly #id: number
  #bytes = 0

  /** Starts it. */
  constructor(job: Job) {
    super('ZcioTransfer')
    this.#id = native().start(
      job.source,
      job.sink,
      job.start,
      job.sinkStart,
      job.length,
      job.fallback,
      job.snapshot,
      job.isSinkSocket,
      job.head,
      job.disable,
    )
    awaitEnd(this.#id, this)
  }

  /** Called once, never before the constructor has returned. Must not throw. */
  protected abstract ended(outcome: Outcome): void

  settle(outcome: Outcome): void {
    this.runInAsyncScope(() => {
      this.ended(outcome)
    })
  }

  /** As {@link Run.bytes}. */
  bytes(): number {
    return (this.#bytes = Math.max(this.#bytes, native().bytes(this.#id, 0)))
  }

  /** As {@link Run.cancel}. */
  cancel(): void {
    native().cancel(this.#id)
  }

  /** As {@link Run.hangUp}. */
  hangUp(side: Side): void {
    native().hangUp(this.#id, side === 'sink')
  }
}

/** Two connected sockets to be joined. */
export interface Joint {
  a: number
  b: number
  /** What was read from each before. */
  aHead: Buffer
  bHead: Buffer
  /** In ms; 0 for none. */
  idleTimeout: number
}

/** Joins two sockets; returns the directions from a to b and from b to a. What is done to one is done to both. */
export function join({ a, b, aHead, bHead, idleTimeout }: Joint): [Run, Run] {
  const running = native()
  const id = running.bridge(a, b, aHead, bHead, idleTimeout)
  return [follow(running, id, 0), follow(running, id + 1, 1)]
}

/** A source that is to reach many sinks. */
export interface FanOutJob {
  source: number
  sinks: number[]
  start?: Bytes | undefined
  length?: Bytes | undefined
  /** Go on without a sink that fails. */
  dropFailed: boolean
  /** In ms; 0 for none. */
  sinkTimeout: number
  head?: Buffer | undefined
}

/** A fan-out under way. */
export interface FanOutRun extends Run {
  /** Bytes that one sink, numbered from 0, has accepted so far. */
  readonly bytesOf: (sink: number) => number
  /** Takes away a socket that JavaScript has destroyed: end 0 is the source, the sinks follow. */
  readonly shutDown: (end: number) => void
}

/** Starts a fan-out; `onLeave` is told of a sink, numbered from 0, that it goes on without. */
export function fanOut(job: FanOutJob, onLeave: (sink: number) => void): FanOutRun {
  const { source, sinks, start, length, dropFailed, sinkTimeout, head } = job
  const running = native()
  const id = running.fanOut(source, sinks, start, length, dropFailed, sinkTimeout, head)
  sinks.forEach((_, sink) => {
    const settle = (): void => {
      onLeave(sink)
    }
    awaitEnd(id + 1 + sink, { settle })
  })
  const shutDown = (end: number): void => {
    running.shutDown(id, end)
  }
  const accepted = sinks.map(() => 0)
  const bytesOf = (sink: number): number =>
    (accepted[sink] = Math.max(accepted[sink] ?? 0, running.bytesOf(id, sink)))
  const run = follow(running, id, 0, () => {
    sinks.forEach((_, sink) => {
      settled(id + 1 + sink)
    })
  })
  return Object.assign(run, { bytesOf, shutDown })
}

function native(): NativeEngine {
  engine ??= new (binding().Engine)(settle)
  return engine
}

/** `direction`: which of a bridge's. */
function follow(running: NativeEngine, id: number, direction: 0 | 1, onEnd?: () => void): Run {
  const ended = new Promise<Outcome>((resolve) => {
    const settle = (outcome: Outcome): void => {
      onEnd?.()
      resolve(outcome)
    }
    awaitEnd(id, { settle })
  })
  let bytes = 0
  return {
    ended,
    bytes: () => (bytes = Math.max(bytes, running.bytes(id, direction))),
    cancel: () => {
      running.cancel(id)
    },
    hangUp: (side) => {
      running.hangUp(id, side === 'sink')
    },
  }
}

function awaitEnd(id: number, waiting: Waiting): void {
  pending.set(id, waiting)
  holdProcess()
}

function settle(endings: NativeEnding[]): void {
  for (const ending of endings) settled(ending.id)?.settle(translate(ending))
}

/** Whoever is to be told of an ending, and waits no more. */
function settled(id: number): Waiting | undefined {
  const waiting = pending.get(id)
  if (pending.delete(id)) letGoOfProcess()
  return waiting
}

function translate(ending: NativeEnding): Outcome {
  return {
    bytes: ending.bytes,
    mechanism: ending.mechanism as Mechanism,
    fallbacks: ending.fallbacks as Fallback[],
    residual: ending.residual,
    sinks: ending.sinks?.map(sinkOf) ?? [],
    failure: failureOf(ending),
    canceled: ending.failure === 'CANCELED',
    declined: whyDeclined(ending),
  }
}

/** One would block the engine's thread, or there are too many to have duplicates. */
function whyDeclined({ failure, errno, detail }: NativeEnding): string | undefined {
  if (failure === 'BLOCKING') return failure
  if (failure !== 'SYSTEM' || !BEGINNINGS.includes(detail ?? '')) return undefined
  return errno === os.errno.EMFILE ? 'EMFILE' : errno === os.errno.ENFILE ? 'ENFILE' : undefined
}

/** The calls that make descriptors of the engine's own before a task begins. */
const BEGINNINGS = ['fcntl', 'epoll_create1']

function sinkOf(sink: NativeSink): SinkOutcome {
  const { bytes } = sink
  const mechanism = sink.mechanism as Mechanism
  const error = failureOf({ ...sink, side: 'sink' })
  return error === undefined ? { bytes, mechanism } : { bytes, mechanism, error }
}

type Failed = Pick<NativeEnding, 'failure' | 'errno' | 'detail' | 'side' | 'bytes' | 'residual'>

/** The error of an ending, if it is one. */
export function failureOf({
  failure,
  errno,
  detail,
  side,
  bytes,
  residual,
}: Failed): TransferError | undefined {
  const details = {
    bytes,
    ...(side === undefined ? {} : { side: side as Side }),
    ...(residual === undefined ? {} : { residual }),
  }
  switch (failure) {
    case undefined:
      return undefined
    case 'SYSTEM':
      return systemError(errno ?? 0, detail ?? '', details)
    case 'BUSY':
      return zcioError(
        'ERR_ZCIO_BUSY',
        'another transfer is moving bytes through this pipe or socket in this direction; await it first',
        details,
      )
    case 'TIMED_OUT':
      return systemError(os.errno.ETIMEDOUT, side === 'sink' ? 'write' : 'bridge', details)
    case 'COPY_REQUIRED':
      return zcioError(
        'ERR_ZCIO_COPY_REQUIRED',
        'only a copy through user space can move these bytes; allow it with fallback: true',
        details,
      )
    default:
      return zcioError('ERR_ZCIO_UNSUPPORTED', detail ?? failure, details)
  }
}
