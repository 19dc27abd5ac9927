// This thread's door to the reactor: starts transfers, settles their promises, keeps the process alive meanwhile.
//
// One native Engine per JavaScript thread, made by the first transfer.

import { AsyncResource } from 'node:async_hooks'
import { binding, type NativeEnding, type NativeEngine } from './binding.js'
import { translate, type Outcome } from './ending.js'
import type { Side } from './errors.js'
import { holdProcess, letGoOfProcess } from './hold-process.js'
import type { Bytes } from './options.js'

/** What one transfer on descriptors is to do. It asks for them as it starts, and the engine duplicates them at once. */
export interface Job {
  readonly source: number
  readonly sink: number
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

/** A fan-out under way. */
export interface FanOutRun {
  readonly ended: Promise<Outcome>
  /** Bytes that the sink has accepted so far. */
  readonly bytes: () => number
  /** Asks it to stop as soon as its thread looks. */
  readonly cancel: () => void
  /** The same, and tells the peer of that end now: for a socket that JavaScript has destroyed. */
  readonly hangUp: (side: Side) => void
  /** Bytes that one sink, numbered from 0, has accepted so far. */
  readonly bytesOf: (sink: number) => number
  /** Takes away a socket that JavaScript has destroyed: end 0 is the source, the sinks follow. */
  readonly shutDown: (end: number) => void
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

/** How the directions of a bridge ended: from a to b, from b to a. */
export type Endings = [there: Outcome, back: Outcome]

/** Two sockets joined, in three objects: a proxy has thousands that are idle. What ends one direction ends both. */
export class Joined {
  readonly aToB: Direction
  readonly bToA: Direction
  readonly ended: Promise<Endings>
  #resolve: ((endings: Endings) => void) | undefined

  /** Starts it. */
  constructor({ a, b, aHead, bHead, idleTimeout }: Joint) {
    const id = native().bridge(a, b, aHead, bHead, idleTimeout)
    this.aToB = new Direction(id, 0, this)
    this.bToA = new Direction(id, 1, this)
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** Asks it to stop as soon as its thread looks. */
  cancel(): void {
    this.aToB.cancel()
  }

  /** One of the directions has ended. */
  settle(): void {
    const [there, back] = [this.aToB.outcome, this.bToA.outcome]
    if (there !== undefined && back !== undefined) this.#resolve?.([there, back])
  }
}

/** One direction of a bridge. */
export class Direction implements Waiting {
  outcome: Outcome | undefined
  readonly #id: number
  readonly #number: 0 | 1
  readonly #joined: Joined
  #bytes = 0

  constructor(id: number, number: 0 | 1, joined: Joined) {
    this.#id = id
    this.#number = number
    this.#joined = joined
    awaitEnd(id + number, this)
  }

  settle(outcome: Outcome): void {
    this.outcome = outcome
    this.#joined.settle()
  }

  /** Bytes that its sink has accepted so far. */
  bytes(): number {
    return (this.#bytes = Math.max(this.#bytes, native().bytes(this.#id, this.#number)))
  }

  /** As {@link Joined.cancel}. */
  cancel(): void {
    native().cancel(this.#id)
  }

  /** The same, and tells the peer of its sink now: JavaScript has destroyed that socket. */
  hangUp(): void {
    native().hangUp(this.#id, this.#number === 0)
  }
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
  const ended = new Promise<Outcome>((resolve) => {
    const settle = (outcome: Outcome): void => {
      sinks.forEach((_, sink) => {
        settled(id + 1 + sink)
      })
      resolve(outcome)
    }
    awaitEnd(id, { settle })
  })
  return follow(running, id, ended, sinks.length)
}

function native(): NativeEngine {
  engine ??= new (binding().Engine)(settle)
  return engine
}

/** What is over tells no bytes any more: then those that were told last. */
function follow(running: NativeEngine, id: number, ended: Promise<Outcome>, sinks: number): FanOutRun {
  let bytes = 0
  const accepted = new Array<number>(sinks).fill(0)
  return {
    ended,
    bytes: () => (bytes = Math.max(bytes, running.bytes(id, 0))),
    bytesOf: (sink) => (accepted[sink] = Math.max(accepted[sink] ?? 0, running.bytesOf(id, sink))),
    cancel: () => {
      running.cancel(id)
    },
    hangUp: (side) => {
      running.hangUp(id, side === 'sink')
    },
    shutDown: (end) => {
      running.shutDown(id, end)
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
