// Bridges that Node's streams have to carry.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { bridge, type BridgeProgress, type TransferError } from 'zcio'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'
import { received, sockets, take } from './helpers/sockets.js'
import { outcome, until } from './helpers/wait.js'

/** A socket that somebody has wrapped, as instrumentation does. */
async function wrapped(t: ExecutionContext): Promise<[near: Socket, far: Socket]> {
  const [near, far] = await sockets(t)
  near.write = (...args: [never]) => Socket.prototype.write.apply(near, args)
  return [near, far]
}

const fallbacks = [{ mechanism: 'splice', code: 'WRAPPED' }]

test('both directions arrive whole, and the result says how', async (t) => {
  const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
  const [there, back] = [pattern(2_000_001, 1), pattern(1_000_003, 2)]
  const over = bridge(a, b, { head: Buffer.from('head') })
  left.end(there)
  right.end(back)
  const [atRight, atLeft] = await Promise.all([received(right), received(left)])
  t.is(sha256(atRight), sha256(Buffer.concat([Buffer.from('head'), there])))
  t.is(sha256(atLeft), sha256(back))
  t.deepEqual(await over, {
    aToB: { bytes: 2_000_005, mechanism: 'stream', fallbacks },
    bToA: { bytes: 1_000_003, mechanism: 'stream', fallbacks },
  })
})

test('one direction goes on when the other has ended', async (t) => {
  const [[b, right], [a, left]] = [await wrapped(t), await sockets(t)]
  const over = bridge(a, b)
  left.end('question')
  t.is((await received(right)).toString(), 'question')
  right.end('answer')
  t.is((await received(left)).toString(), 'answer')
  t.is((await over).bToA.bytes, 6)
})

test('a socket that has ended takes nothing any more, whatever the other is', async (t) => {
  for (const gone of ['a', 'b'] as const) {
    const [[a, left], [b, right]] = [await sockets(t), await sockets(t)]
    left.end('request')
    await until('Node has read all of it', () => (a.read(0), a.readableLength === 7))
    // Node has met its end, so its streams have to carry what it has read.
    await new Promise((resolve) => setTimeout(resolve, 20))
    const one = gone === 'a' ? a : b
    one.end()
    ;(gone === 'a' ? left : right).resume()
    await once(one, 'finish')
    const head = Buffer.from('head')
    const error = await failure(bridge(a, b, { head }))
    t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink', bytes: 0 })
    t.like(error, { aToB: { bytes: 0, residual: head }, bToA: { bytes: 0 } })
    t.true(a.destroyed && b.destroyed)
  }
})

test('an abort, an idle time and a destroyed socket end both', async (t) => {
  for (const how of ['abort', 'idle', 'destroy'] as const) {
    const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
    const abort = new AbortController()
    const over = failure(bridge(a, b, { signal: abort.signal, idleTimeout: how === 'idle' ? 100 : 0 }))
    left.write('some')
    await take(right, 4)
    if (how === 'abort') abort.abort()
    if (how === 'destroy') a.destroy()
    const codes = { abort: 'ABORT_ERR', idle: 'ETIMEDOUT', destroy: 'ERR_STREAM_PREMATURE_CLOSE' }
    const error = await over
    t.is(error.code, codes[how])
    t.like(error, { bytes: 4, aToB: { bytes: 4 }, bToA: { bytes: 0 }, residual: undefined })
    t.true(a.destroyed && b.destroyed)
  }
})

test('what has moved just before it fails is counted, the head with it', async (t) => {
  const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
  const abort = new AbortController()
  const over = failure(bridge(a, b, { head: Buffer.from('head'), signal: abort.signal }))
  left.write('some')
  await take(right, 8)
  right.write('answer')
  await take(left, 6)
  abort.abort()
  t.like(await over, { bytes: 14, aToB: { bytes: 8 }, bToA: { bytes: 6 } })
})

test('a peer that resets is told once, with what both directions moved', async (t) => {
  const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
  const over = failure(bridge(a, b))
  left.write('some')
  await take(right, 4)
  right.resetAndDestroy()
  t.like(await over, { code: 'ECONNRESET', bytes: 4, aToB: { bytes: 4 }, bToA: { bytes: 0 } })
})

test('what the peer does not take is neither counted nor lost', async (t) => {
  const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
  const head = pattern(20_000_000)
  const abort = new AbortController()
  const over = failure(bridge(a, b, { head, signal: abort.signal }))
  left.write('more')
  await take(right, 1000)
  abort.abort()
  const { aToB } = (await over) as TransferError & BridgeProgress
  t.true(aToB.bytes >= 1000 && aToB.bytes < head.length)
  t.is(sha256(aToB.residual ?? Buffer.alloc(0)), sha256(head.subarray(aToB.bytes)))
})

/** Whether a bridge whose one side sends a little every 5 ms outlives 200 ms of that. */
async function outlives(t: ExecutionContext, idleTimeout: number): Promise<boolean> {
  const [[a, left], [b, right]] = [await wrapped(t), await sockets(t)]
  const over = outcome(bridge(a, b, { idleTimeout }))
  left.on('error', () => undefined).setNoDelay()
  right.on('error', () => undefined).resume()
  for (let round = 0; round < 40; round++) {
    left.write('some')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  left.end()
  right.end()
  return (await over).value?.aToB.bytes === 160
}

test('nobody is idle while bytes move, however short the time', async (t) => {
  let survived = false
  // A machine that is busy may stall all of it for so long.
  for (let attempt = 0; attempt < 20 && !survived; attempt++) survived = await outlives(t, 45)
  t.true(survived)
})
