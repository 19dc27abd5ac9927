// One run of the engine from one source to many sinks: what it counts, and what it gives back.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { createServer, get, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { fanOut, type FanOutResult } from 'zcio'
import { content as contentOf, opened, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'
import { received, sockets, take } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const bytes = pattern(16 << 20)

test('while it runs each sink tells its own bytes, and the source what all have', async (t) => {
  const [[near, far], [fast, fastPeer], [slow, slowPeer]] = await Promise.all([
    sockets(t),
    sockets(t),
    sockets(t),
  ])
  const all = received(fastPeer)
  const over = fanOut(near, [fast, slow])
  far.end(bytes)
  let before = -1
  await until('it comes to rest, one ahead of the other', async () => {
    const rests = fast.bytesWritten === before
    before = fast.bytesWritten
    await new Promise((resolve) => setTimeout(resolve, 50))
    return rests && fast.bytesWritten > slow.bytesWritten
  })
  t.true(slow.bytesWritten > 0)
  t.is(near.bytesRead, slow.bytesWritten)
  t.is(sha256(await received(slowPeer)), sha256(bytes))
  t.is(sha256(await all), sha256(bytes))
  await over
  t.deepEqual(
    [fast.bytesWritten, slow.bytesWritten, near.bytesRead],
    [bytes.length, bytes.length, bytes.length],
  )
})

test('of what Node had read, no more goes out than a head declares, and the rest is given back', async (t) => {
  const [near, far] = await sockets(t)
  near.resume().pause()
  far.write('0123456789')
  await until('Node has read', () => near.readableLength === 10)
  let over: Promise<FanOutResult> | undefined
  const arrived = await response(t, (res) => {
    res.setHeader('Content-Length', 4)
    over = fanOut(near, [res, sink(t)], { end: false })
    void over.then(() => res.end())
  })
  t.is(String(arrived), '0123')
  t.is((await over)?.bytes, 4)
  far.end('!')
  t.is(String(await received(near)), '456789!')
})

for (const onSinkError of ['abort', 'drop'] as const) {
  test(`what the last sink had not accepted when it failed comes back: '${onSinkError}'`, async (t) => {
    const [[near, far], [gone, peer]] = [await sockets(t), await sockets(t)]
    const over = failure(fanOut(near, [gone], { onSinkError }))
    far.write(bytes)
    far.on('error', () => undefined)
    const accepted = await take(peer, 100_000)
    await until('it is stuck', () => gone.bytesWritten > 200_000)
    peer.resetAndDestroy()
    const { bytes: moved, residual = Buffer.alloc(0), side } = await over
    t.is(side, 'sink')
    t.true(residual.length > 0 && moved >= accepted.length)
    t.is(sha256(residual), sha256(bytes.subarray(moved, moved + residual.length)))
  })
}

test('with end: false what was not accepted goes back into the source', async (t) => {
  const [[near, far], [stuck, peer], abort] = [await sockets(t), await sockets(t), new AbortController()]
  const over = failure(fanOut(near, [stuck], { end: false, signal: abort.signal }))
  far.end(bytes)
  await until('it is stuck', () => stuck.bytesWritten > 100_000)
  abort.abort()
  const error = await over
  t.like(error, { name: 'AbortError', residual: undefined })
  stuck.end()
  const accepted = await received(peer)
  t.is(accepted.length, error.bytes)
  t.is(sha256(Buffer.concat([accepted, await received(near)])), sha256(bytes))
})

test('sinks that are all late end it, and while the source gives nothing nobody is late', async (t) => {
  const [[near, far], ...pairs] = await Promise.all([sockets(t), sockets(t), sockets(t)])
  const sinks = pairs.map(([socket]) => socket)
  const over = failure(fanOut(near, sinks, { sinkTimeout: 200 }))
  far.write('a little')
  for (const [, peer] of pairs) t.is(String(await take(peer, 8)), 'a little')
  await new Promise((resolve) => setTimeout(resolve, 600))
  const since = process.cpuUsage()
  far.write(bytes)
  far.on('error', () => undefined)
  t.like(await over, { code: 'ETIMEDOUT', side: 'sink' })
  const { user, system } = process.cpuUsage(since)
  t.true(user + system < 2_000_000, `${user + system} µs`)
  t.true(sinks.every((socket: Socket) => socket.destroyed))
})

test('one pipe twice among the sinks is refused', async (t) => {
  const { writer } = pipe(t)
  t.is((await failure(fanOut(source(t, 10), [writer, writer]))).code, 'ERR_ZCIO_BUSY')
})

test('a blocking pipe is a source and a sink, and a device that blocks makes streams do it', async (t) => {
  const both = { readerBlocking: true, writerBlocking: true }
  const [one, other] = [pipe(t, both), pipe(t, both)]
  const [content, copy] = [pattern(10_000), sink(t)]
  const into = await fanOut(source(t, content), [one.writer, other.writer])
  one.writer.close()
  other.writer.close()
  const out = await fanOut(one.reader, [copy])
  t.deepEqual([into.fallbacks, out.fallbacks], [[], []])
  t.is(out.sinks[0]?.mechanism, 'splice')
  t.is(sha256(contentOf(copy)), sha256(content))
  const { fallbacks } = await fanOut(source(t, 10), [sink(t), opened(t, '/dev/null', 'w')])
  t.deepEqual(fallbacks, [{ mechanism: 'splice', code: 'BLOCKING' }])
})

/** What a client gets of a response. */
async function response(t: ExecutionContext, handle: (res: ServerResponse) => void): Promise<Buffer> {
  const server = createServer((_, res) => {
    handle(res)
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const [res] = (await once(get({ port: (server.address() as AddressInfo).port }), 'response')) as [
    import('node:http').IncomingMessage,
  ]
  return buffer(res)
}
