// One shared, unreferenced timer that looks after running transfers: reports their progress, and tells their
// sockets that bytes are moving, so that idle timeouts measure idleness. It runs only while there is something to
// look after.

import type { Socket } from 'node:net'
import { refreshTimeout } from './node-internals.js'

/** Progress is reported at most this often, in ms. */
const PROGRESS_EVERY = 50

/** What onProgress gets. */
export interface ProgressReport {
  /** Bytes moved so far. */
  bytes: number
  /** Bytes to be moved, where that is known. */
  total?: number
}

interface Watch {
  /** How often to look after it, in ms, and when last. */
  every: number
  looked: number
  bytes: () => number
  last: number
  moved: (bytes: number) => void
}

const watches = new Set<Watch>()
let timer: NodeJS.Timeout | undefined
let period = Infinity

/** What is to be told of a transfer's bytes. */
export interface Listeners {
  onProgress?: ((report: ProgressReport) => void) | undefined
  total?: number | undefined
  /** Bytes that need not be told; default: those that have moved by now. */
  told?: number
  /** The sockets that move them; those without a timeout cost nothing. */
  sockets?: readonly Socket[]
}

/** Looks after a transfer until the function that it returns is called. */
export function watch(bytes: () => number, { onProgress, total, told, sockets = [] }: Listeners): () => void {
  const timed = sockets.filter((socket) => (socket.timeout ?? 0) > 0)
  if (onProgress === undefined && timed.length === 0) return nothing
  const timeouts = timed.map((socket) => (socket.timeout ?? 0) / 4)
  const entry: Watch = {
    every: Math.min(onProgress === undefined ? Infinity : PROGRESS_EVERY, ...timeouts),
    looked: performance.now(),
    bytes,
    last: told ?? bytes(),
    moved: (moved) => {
      // A timeout may have been set since.
      sockets.forEach(refreshTimeout)
      onProgress?.(total === undefined ? { bytes: moved } : { bytes: moved, total })
    },
  }
  watches.add(entry)
  if (entry.every < period) tick(entry.every)
  return () => {
    watches.delete(entry)
    if (watches.size === 0) tick(Infinity)
  }
}

function nothing(): void {
  // There is nothing to stop.
}

/** Never slower while it runs: transfers that come and go would put off the next look for ever. */
function tick(every: number): void {
  period = every
  clearInterval(timer)
  timer = period === Infinity ? undefined : setInterval(look, period).unref()
}

function look(): void {
  // Timers may be 1 ms early.
  const now = performance.now() + 1
  for (const entry of watches) {
    if (now - entry.looked < entry.every) continue
    entry.looked = now - 1
    const bytes = entry.bytes()
    if (bytes === entry.last) continue
    entry.last = bytes
    entry.moved(bytes)
  }
}
