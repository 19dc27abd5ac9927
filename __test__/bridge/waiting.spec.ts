// Bridges that wait, for ever or for each other: they cost nothing, and end when they should.

import test from 'ava'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { bridge, fanOut } from 'zcio'
import { tell } from '../helpers/children.js'
import { failure } from '../helpers/failures.js'
import { pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'
import { tunnels } from '../helpers/tunnels.js'
import { within } from '../helpers/wait.js'

/** Far more than what waits costs, and far less than a thread that spins. */
const MOST = 400_000

test('bridges in a circle pass bytes round, and end with the first that ends', async (t) => {
  const [first, second, third] = await Promise.all([sockets(t), sockets(t), sockets(t)])
  const ring = [first, second, third]
  // What comes out of one goes into the next: there is no end outside.
  const overs = ring.map(([out], at) => bridge(out, (ring[(at + 1) % ring.length] as [Socket, Socket])[1]))
  const ended = Promise.allSettled(overs)
  const [out] = first
  out.once('error', () => undefined)
  await sleep(100)
  const before = process.cpuUsage()
  await sleep(500)
  const { user, system } = process.cpuUsage(before)
  t.true(user + system < MOST, `${user + system} µs while nothing moves`)
  first[0].destroy()
  const results = await within('all bridges', ended)
  t.true(results.some(({ status }) => status === 'rejected'))
})

test('a circle with bytes in it goes on, lets others have their turn, and stops with its signal', async (t) => {
  const [[left, a], [b, c], [d, right]] = await Promise.all([sockets(t), sockets(t), sockets(t)])
  const abort = new AbortController()
  // left → a → b → c … and back from c into d → right, which the test writes into left again.
  const overs = [bridge(a, b, { signal: abort.signal }), bridge(c, d, { signal: abort.signal })].map(failure)
  // What they still write when the bridges are gone is reset.
  for (const end of [left, right]) end.on('error', () => undefined)
  right.pipe(left)
  left.pipe(right)
  const token = pattern(100_000)
  left.write(token)
  const [other, echo] = await sockets(t)
  const [end, peer] = await sockets(t)
  const through = bridge(echo, end)
  other.end(token)
  peer.end()
  t.is(sha256(await received(peer)), sha256(token))
  other.resume()
  await within('another bridge', through)
  abort.abort()
  for (const { name } of await Promise.all(overs)) t.is(name, 'AbortError')
})

for (const side of ['a', 'b'] as const) {
  test(`the FIN of ${side}, and of its peer, leaves within 100 ms of its being destroyed`, async (t) => {
    const [[left, a], [b, right]] = [await sockets(t), await sockets(t)]
    const over = failure(bridge(a, b))
    left.write('through')
    await take(right, 7)
    const ended = [left, right].map((socket) => once(socket.resume(), 'end'))
    const since = performance.now()
    ;({ a, b })[side].destroy()
    await within('both ends', Promise.all(ended))
    const took = performance.now() - since
    t.true(took < 100, `${took} ms`)
    await over
  })
}

test('the FIN of a sink that JavaScript destroys leaves within 100 ms, while the fan-out goes on', async (t) => {
  const [[source, origin], [good, goodPeer], [gone, gonePeer]] = await Promise.all([
    sockets(t),
    sockets(t),
    sockets(t),
  ])
  const over = fanOut(source, [good, gone], { onSinkError: 'drop' })
  origin.write('first, ')
  await Promise.all([take(goodPeer, 7), take(gonePeer, 7)])
  const since = performance.now()
  gone.destroy()
  await within('its end', once(gonePeer.resume(), 'end'))
  t.true(performance.now() - since < 100)
  origin.end('second')
  t.is(String(await received(goodPeer)), 'second')
  t.truthy((await over).sinks[1]?.error)
})

test('a peer that reads one byte a second costs next to nothing: bridge, fan-out and transfer', async (t) => {
  const cpu = await tell(`${tunnels}
    import { bridge, fanOut, transfer } from 'zcio'
    const server = await listen()
    const pairs = []
    for (let i = 0; i < 9; i += 1) pairs.push(await connected(server))
    const [[left, a], [b, right], [from, origin], [to, target], [one, begin], [x, xEnd], [y, yEnd]] = pairs
    for (const promise of [bridge(a, b), transfer(from, to), fanOut(one, [x, y])]) promise.catch(() => undefined)
    for (const socket of [left, origin, begin]) socket.write(Buffer.alloc(32 << 20))
    const slow = [right, target, xEnd, yEnd]
    const readOne = () => slow.forEach((socket) => socket.read(1))
    for (const socket of slow) socket.on('readable', () => undefined)
    setInterval(readOne, 1000)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const { user, system } = process.cpuUsage(before)
    console.log(user + system)
    process.exit()`)
  t.true(Number(cpu) < MOST, `${String(cpu)} µs in 2 s`)
})
