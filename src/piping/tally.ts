// Which ways piped files went in this thread, and why the kernel's was not taken: what tests look at, and what
// `ZCIO_STATS` prints.

import type { Reason } from './conditions.js'

/** What has been counted since the thread started. */
export interface Tally {
  /** Runs of the engine between two streams, be it that they were interrupted before the first byte. */
  runs: number
  /** Bytes that they moved. */
  bytes: number
  /** How often Node read instead, by reason; once for each chunk. */
  aside: Partial<Record<Reason, number>>
}

const counted: Tally = { runs: 0, bytes: 0, aside: {} }

/** The counts so far. */
export function tally(): Tally {
  return { ...counted, aside: { ...counted.aside } }
}

export function countRun(bytes: number): void {
  counted.runs += 1
  counted.bytes += bytes
}

export function countAside(reason: Reason): void {
  counted.aside[reason] = (counted.aside[reason] ?? 0) + 1
}
