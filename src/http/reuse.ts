// What one response has found, for the others that leave together with it.
//
// All of them had been asked for before the first looked at its file, so what it found is as new as any may expect.
// Where many clients want the same file, opening, asking, reading and closing it but once saves each a quarter.

import { closeFile, isInScratch, type Body, type Wanted } from './body.js'

/** So many files are kept from one response to the next, the first: descriptors are scarce, and of 16 none is met again. */
const MOST = 8

const idle = new Map<Wanted, Body>()
let isReusing = false

/** Has what is let go kept until {@link endReuse}, which has to follow in the same turn of the event loop. */
export function beginReuse(): void {
  isReusing = true
}

/** Closes what has been kept. */
export function endReuse(): void {
  isReusing = false
  for (const body of idle.values()) closeFile(body)
  idle.clear()
}

/** What another response has found there and let go. */
export function reuse(wanted: Wanted): Body | undefined {
  const body = idle.get(wanted)
  if (body === undefined) return undefined
  idle.delete(wanted)
  // One that has failed on the way has closed its file after all.
  return body.owner === 'binding' || isInScratch(body) ? body : undefined
}

/** Closes the file of a response that has no more use for it, or keeps it for the next. */
export function letGo(body: Body): void {
  const { wanted } = body
  if (isReusing && wanted !== undefined && idle.size < MOST) idle.set(wanted, body)
  else closeFile(body)
}
