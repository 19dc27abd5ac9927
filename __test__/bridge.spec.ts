// Two sockets joined in both directions, past JavaScript.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer as listen } from 'node:net'
import { finished } from 'node:stream/promises'
import { bridge, type BridgeOptions, type BridgeProgress, type BridgeResult } from 'zcio'
import { failure } from './helpers/failures.js'
import { pathFor, pattern, sha256 } from './helpers/files.js'
import { openDescriptors } from './helpers/processes.js'
import { received, sockets, take, type Family } from './helpers/sockets.js'
import { until, within } from './helpers/wait.js'

interface Bridged {
  left: Socket
  right: Socket
  a: Socket
  b: Socket
  over: Promise<BridgeResult>
}

async function bridged(t: ExecutionContext, options?: BridgeOptions, family?: Family): Promise<Bridged> {
  const [[left, a], [b, right]] = [await sockets(t, family), await sockets(t, family)]
  const over = bridge(a, b, options)
  over.catch(() => undefined)
  return { left, right, a, b, over }
}

async function rejected(over: Promise<BridgeResult>): Promise<NodeJS.ErrnoException & BridgeProgress> {
  return (await failure(over)) as unknown as NodeJS.ErrnoException & BridgeProgress
}

for (const family of ['tcp', 'unix'] as const) {
  test(`both directions move at once over ${family}, and each end is passed on`, async (t) => {
    const { left, right, over } = await bridged(t, {}, family)
    const [there, back] = [pattern(5_000_001, 1), pattern(3_000_003, 2)]
    left.end(there)
    right.end(back)
    const [atRight, atLeft] = await Promise.all([received(right), received(left)])
    t.is(sha256(atRight), sha256(there))
    t.is(sha256(atLeft), sha256(back))
    t.deepEqual(await within('a bridge', over), {
      aToB: { bytes: 5_000_001, mechanism: 'splice', fallbacks: [] },
      bToA: { bytes: 3_000_003, mechanism: 'splice', fallbacks: [] },
    })
  })
}

test('one direction goes on for long after the other has ended', async (t) => {
  const { left, right, over } = await bridged(t)
  left.end('question')
  t.is((await received(right)).toString(), 'question')
  right.write('first, ')
  t.is((await take(left, 7)).toString(), 'first, ')
  right.end('second')
  t.is((await received(left)).toString(), 'second')
  t.is((await over).bToA.bytes, 13)
})

for (const family of ['tcp', 'unix'] as const) {
  test(`both sockets end as sockets do over ${family}, and tell what moved`, async (t) => {
    const { left, right, a, b, over } = await bridged(t, {}, family)
    const events: string[] = []
    // One of them was made with allowHalfOpen, the other was not.
    for (const socket of [a, b]) {
      for (const event of ['end', 'finish', 'close']) socket.on(event, () => events.push(event))
    }
    const ended = Promise.all([finished(a), finished(b)])
    left.end(pattern(100_000))
    right.end(pattern(70_000))
    await Promise.all([received(right), received(left), over])
    await within('the end of both', ended)
    await until('both are closed', () => a.closed && b.closed && events.length > 5)
    t.deepEqual(events.sort(), ['close', 'close', 'end', 'end', 'finish', 'finish'])
    const read = [a.bytesRead, a.bytesWritten, b.bytesRead, b.bytesWritten]
    t.deepEqual(read, [100_000, 70_000, 70_000, 100_000])
  })
}

test('what JavaScript wanted to end a socket with comes too late once the bridge has ended it', async (t) => {
  const { left, right, a, over } = await bridged(t)
  a.end('too late')
  left.end('there')
  right.end('back')
  t.deepEqual([String(await received(right)), String(await received(left))], ['there', 'back'])
  t.is((await within('a bridge', over)).bToA.bytes, 4)
  t.true(a.destroyed)
})

test('one that is asked for while b connects begins when it has', async (t) => {
  const [left, a] = await sockets(t)
  left.end('early')
  const target = listen({ allowHalfOpen: true })
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const accepted = once(target, 'connection') as Promise<[Socket]>
  const over = bridge(a, connect((target.address() as AddressInfo).port, '127.0.0.1'))
  const [right] = await accepted
  target.close()
  right.end('answer')
  t.deepEqual([String(await received(right)), String(await received(left))], ['early', 'answer'])
  t.like(await within('a bridge', over), { aToB: { bytes: 5, mechanism: 'splice' }, bToA: { bytes: 6 } })
})

test('one whose b does not come to be connected closes a, and says why', async (t) => {
  const [left, a] = await sockets(t)
  const error = await rejected(bridge(a, connect({ path: pathFor('nobody') })))
  t.is(error.code, 'ENOENT')
  t.true(a.destroyed)
  t.is(String(await received(left)), '')
})

test('sockets tell the truth while a bridge is under way', async (t) => {
  const { left, right, a, b, over } = await bridged(t)
  left.write(pattern(50_000))
  await take(right, 50_000)
  await until('it is counted', () => a.bytesRead === 50_000 && b.bytesWritten === 50_000)
  left.end()
  right.end()
  left.resume()
  right.resume()
  await over
  t.is(a.bytesRead, 50_000)
})

for (const state of ['flowing', 'paused', 'half read', 'not yet read']) {
  test(`what Node has read already goes first, from a socket that is ${state}`, async (t) => {
    const [[left, a], [b, right]] = [await sockets(t), await sockets(t)]
    const early = pattern(30_000, 5)
    const seen: Buffer[] = []
    if (state === 'flowing') a.on('data', (chunk: Buffer) => seen.push(chunk)).resume()
    if (state === 'paused') a.resume().pause()
    left.write(early)
    if (state === 'half read') seen.push(await take(a, 1000))
    if (state === 'paused') await until('Node has read', () => a.readableLength > 0)
    if (state === 'flowing') await until('Node has given', () => Buffer.concat(seen).length === early.length)
    const over = bridge(a, b)
    left.end('late')
    right.end()
    const rest = await received(right)
    t.is(sha256(Buffer.concat([...seen, rest])), sha256(Buffer.concat([early, Buffer.from('late')])))
    left.resume()
    t.is((await over).aToB.bytes, rest.length)
    t.is(a.bytesRead, early.length + 4)
  })
}

test('what was written to a socket before is sent before what the other brings', async (t) => {
  const [[left, a], [b, right]] = [await sockets(t), await sockets(t)]
  const queued = pattern(8_000_000, 3)
  b.write(queued)
  const over = bridge(a, b)
  left.end('brought')
  right.end()
  left.resume()
  t.is(sha256(await received(right)), sha256(Buffer.concat([queued, Buffer.from('brought')])))
  t.is((await over).aToB.bytes, 7)
})

test("an 'upgrade' hands over its head and its socket", async (t) => {
  const [near, far] = await sockets(t)
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  let over: Promise<BridgeResult> | undefined
  server.on('upgrade', (_, socket: Socket, head: Buffer) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    over = bridge(socket, near, { head })
  })
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nthe head, ')
  t.is((await take(far, 10)).toString(), 'the head, ')
  client.end('and more')
  t.is((await received(far)).toString(), 'and more')
  far.end('answer')
  t.regex((await received(client)).toString(), /^HTTP\/1\.1 101 [^]*\r\n\r\nanswer$/)
  t.is((await over)?.aToB.bytes, 18)
})

test('an HTTP client may be bridged, too, once it has its tunnel', async (t) => {
  const target = listen((socket) => socket.pipe(socket))
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const proxy = createServer()
  proxy.on('connect', (_, socket: Socket, head: Buffer) => {
    const upstream = connect((target.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      bridge(socket, upstream, { head }).catch(() => undefined)
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    target.close()
    proxy.close()
  })
  const asked = request({ port: (proxy.address() as AddressInfo).port, method: 'CONNECT', path: 'x:1' }).end()
  const [, tunnel] = (await once(asked, 'connect')) as [unknown, Socket]
  tunnel.end('echoed')
  t.is((await received(tunnel)).toString(), 'echoed')
})

test('a flood is held back, and the other direction is not', async (t) => {
  const { left, right, b, over } = await bridged(t)
  left.write(Buffer.alloc(64 << 20))
  let last = -1
  await until('it comes to rest', async () => {
    const before = last
    last = b.bytesWritten
    await new Promise((resolve) => setTimeout(resolve, 50))
    return last > 0 && last === before
  })
  t.true(last < 32 << 20)
  right.write('still here')
  t.is((await take(left, 10)).toString(), 'still here')
  right.destroy()
  await failure(over)
  left.destroy()
})

test('an abort gives what was taken and not accepted', async (t) => {
  const abort = new AbortController()
  const { left, right, b, over } = await bridged(t, { signal: abort.signal })
  const content = pattern(16 << 20)
  left.write(content)
  left.on('error', () => undefined)
  await until('something has moved', () => b.bytesWritten > 100_000)
  abort.abort(new Error('enough'))
  const error = await rejected(over)
  t.is(error.name, 'AbortError')
  t.like(error.cause, { message: 'enough' })
  const { bytes, residual = Buffer.alloc(0) } = error.aToB
  const accepted = await received(right)
  t.is(accepted.length, bytes)
  t.is(sha256(Buffer.concat([accepted, residual])), sha256(content.subarray(0, bytes + residual.length)))
})

test('an abort before it begins touches nothing', async (t) => {
  const [[, a], [b]] = [await sockets(t), await sockets(t)]
  const error = await rejected(bridge(a, b, { signal: AbortSignal.abort() }))
  t.is(error.name, 'AbortError')
})

test('one that nothing moves through ends when it was told to', async (t) => {
  const { left, over } = await bridged(t, { idleTimeout: 2000 })
  const since = performance.now()
  await new Promise((resolve) => setTimeout(resolve, 200))
  left.write('a sign of life')
  const error = await rejected(over)
  t.is(error.code, 'ETIMEDOUT')
  t.is(error.aToB.bytes, 14)
  t.true(performance.now() - since >= 2190)
})

test("a socket's own timeout measures idleness", async (t) => {
  const { left, right, a, over } = await bridged(t)
  let timeouts = 0
  a.setTimeout(400, () => timeouts++)
  const sending = setInterval(() => left.write('x'), 50)
  right.resume()
  await new Promise((resolve) => setTimeout(resolve, 1000))
  clearInterval(sending)
  t.is(timeouts, 0)
  await until('it is idle', () => timeouts > 0)
  left.end()
  right.end()
  left.resume()
  await over
})

for (const side of ['a', 'b'] as const) {
  test(`destroying ${side} tells both peers at once`, async (t) => {
    const { left, right, over, ...ends } = await bridged(t)
    left.write('through')
    await take(right, 7)
    const told = Promise.all([received(left), received(right)])
    ends[side].destroy()
    t.is((await rejected(over)).code, 'ERR_STREAM_PREMATURE_CLOSE')
    await told
    t.true(ends.a.destroyed && ends.b.destroyed)
  })
}

test('a peer that resets ends both with its error', async (t) => {
  const { left, right, over } = await bridged(t)
  left.write('through')
  await take(right, 7)
  const told = received(left)
  right.resetAndDestroy()
  const error = await rejected(over)
  t.true(['ECONNRESET', 'EPIPE'].includes(error.code ?? ''), error.code)
  await told
})

test('a socket is in one bridge at a time', async (t) => {
  const { left, right, a, b, over } = await bridged(t)
  const [other] = await sockets(t)
  t.is((await failure(bridge(a, other))).code, 'ERR_ZCIO_BUSY')
  t.is((await failure(bridge(other, b))).code, 'ERR_ZCIO_BUSY')
  t.false(other.destroyed)
  left.end('fine')
  right.end()
  t.is((await received(right)).toString(), 'fine')
  left.resume()
  await over
})

test('what is not two sockets is refused', async (t) => {
  const [a] = await sockets(t)
  for (const [x, y, options, code] of [
    [a, a, {}, 'ERR_INVALID_ARG_VALUE'],
    [a, 5, {}, 'ERR_INVALID_ARG_TYPE'],
    [process.stdin, undefined, {}, 'ERR_INVALID_ARG_TYPE'],
    [a, a, { idleTimeout: -1 }, 'ERR_INVALID_ARG_VALUE'],
  ] as const) {
    t.is((await failure(bridge(x, y as Socket, options))).code, code)
  }
  t.false(a.destroyed)
})

test.serial('an idle bridge holds two descriptors and no pipe', async (t) => {
  const pairs = await Promise.all(Array.from({ length: 20 }, () => Promise.all([sockets(t), sockets(t)])))
  const [openSockets, pipes] = [openOf('socket'), openOf('pipe')]
  const overs = pairs.map(([[, a], [b]]) => bridge(a, b))
  for (const [[left]] of pairs) left.write('x')
  await Promise.all(pairs.map(([, [, right]]) => take(right, 1)))
  await until('pipes are closed', () => openOf('pipe') === pipes)
  t.is(openOf('socket'), openSockets + 2 * pairs.length)
  for (const [[left], [, right]] of pairs) {
    left.end().resume()
    right.end().resume()
  }
  await Promise.all(overs)
})

/** How many descriptors of a kind the process has open. */
function openOf(kind: 'socket' | 'pipe'): number {
  return openDescriptors().filter((link) => link.startsWith(`${kind}:`)).length
}
