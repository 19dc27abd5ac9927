// A response that is under way: what JavaScript writes to it is kept for later.

import { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'

/** Calls that were kept, where there were any. */
const kept = new WeakMap<ServerResponse, (() => void)[]>()

/**
 * Keeps calls of `write` and `end` for later: made while the body is under way, they would lengthen it, or finish a
 * response that has none yet. Not for one whose methods are others' already.
 */
export function guard(res: ServerResponse): void {
  const own: Methods = res
  // The same functions for all: those of its own would be half a KiB for each slow reader.
  own.write = keepWrite
  own.end = keepEnd
}

/** What is guarded. */
interface Methods {
  write: unknown
  end: unknown
}

/** Ends {@link guard}; returns the calls that were kept. */
export function unguard(res: ServerResponse): readonly (() => void)[] {
  const own: Methods = res
  const prototype: Methods = ServerResponse.prototype
  // What is guarded was not wrapped. To delete them would cost a tenth of a small response.
  own.write = prototype.write
  own.end = prototype.end
  const calls = kept.get(res)
  if (calls === undefined) return NONE
  kept.delete(res)
  return calls
}

const NONE: readonly never[] = []

/** Whether it is under way. */
export function isGuarded(stream: Writable): boolean {
  return (stream as Methods).write === keepWrite
}

function keepWrite(this: ServerResponse, ...args: [string]): boolean {
  keep(this, () => this.write(...args))
  return false
}

function keepEnd(this: ServerResponse, ...args: []): ServerResponse {
  keep(this, () => this.end(...args))
  return this
}

function keep(res: ServerResponse, call: () => void): void {
  const calls = kept.get(res)
  if (calls === undefined) kept.set(res, [call])
  else calls.push(call)
}
