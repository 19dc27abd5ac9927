// Whenever a bridge is aborted, what was taken is what was accepted and what comes back.

import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { bridge, type BridgeProgress } from 'zcio'
import { failure } from '../helpers/failures.js'
import { pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'

const content = pattern(6 << 20)

interface Moment {
  /** From a to b, or from b to a. */
  direction: 'aToB' | 'bToA'
  /** Bytes that have arrived before. */
  after: number
  /** What was there before the bridge, as a head or read by Node. */
  head: number
}

const moments: fc.Arbitrary<Moment> = fc.record({
  direction: fc.constantFrom('aToB', 'bToA'),
  after: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: 4 << 20 })),
  head: fc.constantFrom(0, 1, 60_000),
})

async function abortAt(t: ExecutionContext, { direction, after, head }: Moment): Promise<void> {
  const [[left, a], [b, right]] = [await sockets(t), await sockets(t)]
  const [from, near, to] = direction === 'aToB' ? [left, a, right] : [right, b, left]
  const isGiven = direction === 'aToB'
  const abort = new AbortController()
  const options = { signal: abort.signal, ...(isGiven ? { head: content.subarray(0, head) } : {}) }
  const over = failure(bridge(a, b, options))
  from.on('error', () => undefined)
  from.write(content.subarray(isGiven ? head : 0))
  const first = await take(to, after)
  abort.abort()
  const error = (await over) as unknown as Error & BridgeProgress
  const { bytes, residual = Buffer.alloc(0) } = error[direction]
  const arrived = Buffer.concat([first, await received(to)])
  t.is(error.name, 'AbortError')
  t.is(arrived.length, bytes)
  t.is(near.bytesRead + (isGiven ? head : 0), bytes + residual.length)
  t.is(sha256(Buffer.concat([arrived, residual])), sha256(content.subarray(0, bytes + residual.length)))
}

test('in is out and residual, whenever it is aborted', async (t) => {
  await fc.assert(
    fc.asyncProperty(moments, (moment) => abortAt(t, moment)),
    { numRuns: 30 },
  )
})

test('a bridge hears of an abort in any microtask of the call', async (t) => {
  for (let microtasks = 0; microtasks < 16; microtasks++) {
    const [[, a], [b]] = [await sockets(t), await sockets(t)]
    const abort = new AbortController()
    const over = failure(bridge(a, b, { signal: abort.signal }))
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    abort.abort()
    t.is((await over).name, 'AbortError', `after ${microtasks} microtasks`)
  }
})
