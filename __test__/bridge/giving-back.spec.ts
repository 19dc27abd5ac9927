// A bridge that ends before it has begun: what Node had read of its sockets is not lost.

import test, { type ExecutionContext } from 'ava'
import type { Socket } from 'node:net'
import { bridge, type BridgeProgress } from 'zcio'
import { failure } from '../helpers/failures.js'
import { received, sockets, take } from '../helpers/sockets.js'
import { tlsSockets } from '../helpers/tls.js'
import { until } from '../helpers/wait.js'

/** A socket of which Node has read something that nobody has taken yet. */
async function readAhead(t: ExecutionContext, text: string): Promise<[near: Socket, far: Socket]> {
  const [near, far] = await sockets(t)
  near.resume().pause()
  far.write(text)
  await until('Node has read', () => near.readableLength === text.length)
  return [near, far]
}

/** One to which nothing can be written, for now: its peer does not read. */
async function stuck(t: ExecutionContext): Promise<Socket> {
  const [near] = await sockets(t)
  near.write(Buffer.alloc(32 << 20))
  return near
}

async function rejected(over: Promise<unknown>): Promise<Error & BridgeProgress & { code?: string }> {
  return (await failure(over)) as unknown as Error & BridgeProgress & { code?: string }
}

const text = (progress: BridgeProgress['aToB']): string => String(progress.residual ?? '')

test('one that finds b busy leaves a as it was, with its bytes', async (t) => {
  const [[a, far], [b], [other]] = [await readAhead(t, 'early, '), await sockets(t), await sockets(t)]
  const first = failure(bridge(other, b))
  t.is((await rejected(bridge(a, b))).code, 'ERR_ZCIO_BUSY')
  far.end('late')
  t.is(String(await received(a)), 'early, late')
  t.false(b.destroyed)
  other.destroy()
  await first
})

test('one that finds a busy leaves b as it was, with its bytes', async (t) => {
  const [[a], [b, far], [other]] = [await sockets(t), await readAhead(t, 'early, '), await sockets(t)]
  const first = failure(bridge(a, other))
  t.is((await rejected(bridge(a, b))).code, 'ERR_ZCIO_BUSY')
  far.end('late')
  t.is(String(await received(b)), 'early, late')
  other.destroy()
  await first
})

test('where b has to be written by Node, what a had goes first', async (t) => {
  const [[a, client], [b, target]] = [await readAhead(t, 'early, '), await tlsSockets(t)]
  const over = bridge(a, b, { head: Buffer.from('head, ') })
  client.end('late')
  t.is(String(await received(target)), 'head, early, late')
  client.resume()
  t.like((await over).aToB, {
    bytes: 17,
    mechanism: 'stream',
    fallbacks: [{ mechanism: 'splice', code: 'TLS' }],
  })
})

test('an abort while b is waited for gives what had been read with the error', async (t) => {
  const [[a], b, abort] = [await readAhead(t, 'early'), await stuck(t), new AbortController()]
  const over = bridge(a, b, { signal: abort.signal, head: Buffer.from('head, ') })
  await until('a has been taken', () => a.readableLength === 0)
  abort.abort()
  const error = await rejected(over)
  t.is(error.name, 'AbortError')
  t.deepEqual([error.aToB.bytes, text(error.aToB), error.bToA.bytes], [0, 'head, early', 0])
  t.true(a.destroyed && b.destroyed)
})

test('so does one while a is waited for, and one that came before', async (t) => {
  const [[far], near, abort] = [await readAhead(t, 'early'), await stuck(t), new AbortController()]
  const over = bridge(near, far, { signal: abort.signal, head: Buffer.from('head') })
  setImmediate(() => {
    abort.abort()
  })
  const { aToB, bToA } = await rejected(over)
  t.deepEqual([text(aToB), bToA], ['head', { bytes: 0 }])
  const late = await rejected(bridge(...(await pair(t)), { signal: abort.signal, head: Buffer.from('head') }))
  t.deepEqual([text(late.aToB), late.bToA], ['head', { bytes: 0 }])
})

test('so does a socket that is gone already', async (t) => {
  const [[a], [b, peer]] = [await readAhead(t, 'early'), await sockets(t)]
  b.destroy()
  const error = await rejected(bridge(a, b))
  t.is(error.code, 'ERR_STREAM_PREMATURE_CLOSE')
  t.is(text(error.aToB), 'early')
  t.true(a.destroyed)
  peer.destroy()
})

test('both sockets of a refused bridge can be bridged afterwards', async (t) => {
  const [[a, left], [b, right], [other]] = [await readAhead(t, 'early, '), await sockets(t), await sockets(t)]
  const stop = new AbortController()
  const first = bridge(other, await stuck(t), { signal: stop.signal })
  t.is((await rejected(bridge(a, other))).code, 'ERR_ZCIO_BUSY')
  stop.abort()
  await rejected(first)
  const over = bridge(a, b)
  left.end('late')
  t.is(String(await take(right, 11)), 'early, late')
  right.end()
  left.resume()
  t.is((await over).aToB.bytes, 11)
})

async function pair(t: ExecutionContext): Promise<[Socket, Socket]> {
  const [[a], [b]] = [await sockets(t), await sockets(t)]
  return [a, b]
}
