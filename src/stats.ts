// Counters since the start: the engine's, which are the process', and those of what this thread moves itself.
//
// The short ways of small responses and Node's streams never reach the engine, so they are counted here, as plain
// numbers: that is free.

import { binding, unavailable } from './binding.js'
import type { Fallback, Mechanism, Progress } from './errors.js'

/** What has been done since the process started, and what is held now. */
export interface Stats {
  /**
   * Transfers, `respondWithFile` included, but not those that were refused before they began; one whose descriptor the
   * engine finds in use by another has failed.
   */
  transfers: {
    /** How many have begun. */
    started: number
    /** Of these, how many are under way. */
    active: number
    /** How many came to their end. */
    completed: number
    /** How many failed or were aborted. */
    failed: number
  }
  /** Bytes that sinks have accepted, by the mechanism that moved them. */
  bytes: Record<Mechanism, number>
  /** How often a mechanism did not run, by the code that `fallbacks` of results gives for it. */
  fallbacks: Record<string, number>
  /** Pipes that the engine has: with bytes in them, or kept for the next relay, for a second at most. */
  pipes: number
  /** The threads that may wait for disks. */
  disk: {
    /** How many there are: none before the first is needed. */
    threads: number
    /** Transfers that wait for one of them. */
    queued: number
  }
}

/** What this thread has done itself. */
const own = { started: 0, completed: 0, failed: 0, sendfile: 0, read_write: 0, stream: 0 }
const ownFallbacks = new Map<string, number>()

/**
 * Counters since the start.
 *
 * What the engine moved is counted for the whole process; what JavaScript moved itself (responses of up to
 * `inlineMax` bytes, and `'stream'`) only for the thread that asks.
 */
export function stats(): Stats {
  const engine = unavailable() === undefined ? binding().stats() : NOTHING
  const started = engine.started + own.started
  const completed = engine.completed + own.completed
  const failed = engine.failed + own.failed
  const bytes = (mechanism: Exclude<Mechanism, 'stream'>): number => engine.bytes[mechanism] ?? 0
  return {
    transfers: { started, active: started - completed - failed, completed, failed },
    bytes: {
      reflink: bytes('reflink'),
      copy_file_range: bytes('copy_file_range'),
      sendfile: bytes('sendfile') + own.sendfile,
      splice: bytes('splice'),
      read_write: bytes('read_write') + own.read_write,
      stream: own.stream,
    },
    fallbacks: withOwn(engine.fallbacks),
    pipes: engine.pipes,
    disk: { threads: engine.diskThreads, queued: engine.diskQueue },
  }
}

/** Counts a transfer that Node's streams carry out; what `run` rejects with says how far it came. */
export async function counted(fallbacks: readonly Fallback[], run: () => Promise<number>): Promise<number> {
  countStart(fallbacks)
  try {
    const bytes = await run()
    countBytes('stream', bytes)
    countEnd(true)
    return bytes
  } catch (error) {
    countBytes('stream', (error as Partial<Progress>).bytes ?? 0)
    countEnd(false)
    throw error
  }
}

/** A transfer that the engine does not carry out has begun. */
export function countStart(fallbacks: readonly Fallback[]): void {
  own.started++
  for (const { code } of fallbacks) ownFallbacks.set(code, (ownFallbacks.get(code) ?? 0) + 1)
}

/** It has ended. */
export function countEnd(succeeded: boolean): void {
  if (succeeded) own.completed++
  else own.failed++
}

/** Bytes that the sink has accepted from this thread. */
export function countBytes(mechanism: 'sendfile' | 'read_write' | 'stream', bytes: number): void {
  own[mechanism] += bytes
}

const NOTHING = {
  started: 0,
  completed: 0,
  failed: 0,
  bytes: {} as Record<string, number>,
  fallbacks: {} as Record<string, number>,
  pipes: 0,
  diskThreads: 0,
  diskQueue: 0,
}

function withOwn(engine: Record<string, number>): Record<string, number> {
  const sums = { ...engine }
  for (const [code, times] of ownFallbacks) sums[code] = (sums[code] ?? 0) + times
  return sums
}
