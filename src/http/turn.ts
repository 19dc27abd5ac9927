// When a response leaves that nothing has to be waited for: at once, or together with the others of its turn of the event
// loop, when the turn ends.
//
// A server that is busy finds many requests in one turn. Answered one by one, each response wakes a client that has
// fallen asleep over the one before, and what it asks next is found alone, in a turn of its own; answered together they
// find it awake. With 32 connections on one machine that is a third of a small response's CPU, kernel and all. A request
// that is alone in its turn is answered at once: whether it will be, the turn before tells.

import { AsyncResource } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers'
import { guard, unguard } from '../endpoint/guard.js'
import { isWrapped } from '../endpoint/response.js'
import { beginReuse, endReuse } from './reuse.js'

let responses = 0
let wasBusy = false
let waiting: Waiting[] = []

/** Whether a response is to leave at once; otherwise {@link atTurnsEnd}. Others' methods see it when they always have. */
export function leavesAtOnce(res: ServerResponse): boolean {
  if (isWrapped(res)) return true
  responses += 1
  if (responses > 1) return false
  setImmediate(endTurn)
  return !wasBusy
}

/**
 * Calls `answer` when the turn ends, in the async context of its request. What the application writes to the response
 * until then it seems to write right after: nobody can tell by more than the time when a response has left.
 */
export function atTurnsEnd(res: ServerResponse, answer: () => void): void {
  guard(res)
  waiting.push(new Waiting(res, answer))
}

/** An immediate of its own for each would have what Node does for an ended response between them: a tenth slower. */
class Waiting extends AsyncResource {
  readonly #res: ServerResponse
  readonly #answer: () => void

  constructor(res: ServerResponse, answer: () => void) {
    super('ZcioResponse')
    this.#res = res
    this.#answer = answer
  }

  leave(): void {
    this.runInAsyncScope(answerNow, undefined, this.#res, this.#answer)
  }
}

function endTurn(): void {
  wasBusy = responses > 1
  responses = 0
  const ready = waiting
  waiting = []
  answerAll(ready, 0)
}

/** A hook of the application that throws is Node's to tell of; the others are answered all the same. */
function answerAll(ready: readonly Waiting[], from: number): void {
  let next = from
  beginReuse()
  try {
    while (next < ready.length) ready[next++]?.leave()
  } finally {
    endReuse()
    if (next < ready.length) setImmediate(answerAll, ready, next)
  }
}

function answerNow(res: ServerResponse, answer: () => void): void {
  const calls = unguard(res)
  answer()
  for (const call of calls) call()
}
