// What the process can listen to: each transfer, fan-out, bridge and response, on the tracing channel `zcio:transfer`.
// Without a listener, nothing is made and nothing is told.

import { tracingChannel } from 'node:diagnostics_channel'
import type { TransferError } from './errors.js'

/**
 * What is published on `tracing:zcio:transfer:start`, `…:end`, `…:asyncStart`, `…:asyncEnd` and `…:error`: one object
 * for all five of a transfer, so that a listener can keep what it knows under it. `result` is there from `asyncStart`
 * on, `error` from `error` on.
 *
 * @typeParam Result what the transfer resolves with
 */
export interface TransferTrace<Result = unknown> {
  /** The function that was called: 'transfer', 'fanOut', 'bridge' or 'respondWithFile'. */
  operation: string
  /** Its arguments, as they were given. Of a bridge, the source is `a` and the sink `b`; a fan-out's sink is an array. */
  source: unknown
  sink: unknown
  options?: unknown
  /** What it has resolved with. */
  result?: Result
  /** What it has rejected with. */
  error?: Error & Partial<TransferError>
}

const channel = tracingChannel<string, TransferTrace>('zcio:transfer')

/** Whether anybody listens: only then is {@link traced} worth calling. */
export function isTraced(): boolean {
  return channel.hasSubscribers
}

/** Runs a transfer, and tells listeners of its beginning and its end. */
export function traced<Result>(trace: TransferTrace<Result>, run: () => Promise<Result>): Promise<Result> {
  return channel.tracePromise(run, trace)
}
