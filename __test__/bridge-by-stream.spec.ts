// Bridges that Node's streams have to carry.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { bridge } from 'zcio'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'
import { received, sockets, take } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

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
    t.is((await over).code, codes[how])
    t.true(a.destroyed && b.destroyed)
  }
})
