// This thread's door to the reactor: starts transfers, settles their promises, keeps the process alive meanwhile.
//
// One native Engine per JavaScript thread, made by the first transfer.

import { AsyncResource } from 'node:async_hooks'
import { binding, type NativeEnding, type NativeEngine } from './binding.js'
import { translate, type Outcome } from './ending.js'
import type { Side } from './errors.js'
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
  return [follow(running, id, 0), follow(running, id, 1)]
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

/** `direction`: which of a bridge's, whose endings have ids of their own. */
function follow(running: NativeEngine, id: number, direction: 0 | 1, onEnd?: () => void): Run {
  const ended = new Promise<Outcome>((resolve) => {
    const settle = (outcome: Outcome): void => {
      onEnd?.()
      resolve(outcome)
    }
    awaitEnd(id + direction, { settle })
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
