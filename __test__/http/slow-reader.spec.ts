// Clients that read slowly, or not at all, and the idle timeouts of their sockets. On unix sockets, whose buffer is
// small, so that the client's pace is the server's.

import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { respondWithFile, type RespondOptions } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import { serve, serveFile } from '../helpers/http-server.js'

const MiB = 1024 * 1024
const file = makeFile(16 * MiB)
const idle = 1000

test('an idle timeout does not fire while bytes move, however long that takes', async (t) => {
  const server = await serveFile(t, file.path, { unix: true })
  let fired = 0
  server.server.setTimeout(idle, (socket) => {
    fired++
    socket.destroy()
  })
  const client = await server.connect()
  client.request()
  await client.head()
  const parts: Buffer[] = []
  for (let i = 0; i < 64; i++) {
    parts.push(await client.take(MiB / 4))
    await sleep(40)
  }
  t.is(sha256(Buffer.concat(parts)), sha256(file.bytes))
  t.is(fired, 0)
  t.is((await server.outcome()).value?.mechanism, 'sendfile')
})

test('an idle timeout fires when the client stalls, and ends the transfer', async (t) => {
  const server = await serveFile(t, file.path, { unix: true })
  server.server.setTimeout(idle)
  const client = await server.connect()
  client.request()
  await client.head()
  const { error } = await server.outcome()
  t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  t.true((error?.bytes ?? file.bytes.length) < file.bytes.length)
  t.true((await client.drain()) < file.bytes.length)
})

test('an idle timeout that somebody listens to leaves the transfer alone', async (t) => {
  const server = await serveFile(t, file.path, { unix: true })
  let fired = 0
  server.server.setTimeout(200, () => fired++)
  const client = await server.connect()
  client.request()
  await client.head()
  while (fired === 0) await sleep(10)
  t.is(sha256(await client.take(file.bytes.length)), sha256(file.bytes))
  t.is((await server.outcome()).value?.bytes, file.bytes.length)
})

test('the keep-alive timeout counts from the end of the body', async (t) => {
  const server = await serveFile(t, file.path, { unix: true })
  server.server.keepAliveTimeout = 300
  const client = await server.connect()
  client.request()
  await client.head()
  for (let i = 0; i < 16; i++) {
    t.is((await client.take(MiB)).length, MiB)
    await sleep(50)
  }
  t.is((await server.outcome()).value?.bytes, file.bytes.length)
  t.is(await client.drain(), 0, 'then the connection is closed')
})

test('progress is told while bytes move, grows, and ends with all of them', async (t) => {
  for (const size of [1, 4096, 65_536, file.bytes.length]) {
    const seen: { bytes: number; total?: number }[] = []
    const onProgress: RespondOptions['onProgress'] = (report) => seen.push(report)
    const server = await serve(t, (res) => respondWithFile(res, file.path, { end: size - 1, onProgress }), {
      unix: true,
    })
    const client = await server.connect()
    client.request()
    await client.head()
    for (let left = size; left > 0; left -= MiB) {
      await client.take(Math.min(MiB, left))
      await sleep(20)
    }
    await server.outcome()
    t.deepEqual(seen.at(-1), { bytes: size, total: size })
    t.true(seen.every(({ bytes }, i) => bytes >= (seen[i - 1]?.bytes ?? 0)))
    if (size > MiB) t.true(seen.length > 2)
  }
})
