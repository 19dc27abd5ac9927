// What serving files costs a process: threads, descriptors, memory, CPU; and that it may end at any time.

import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { FileServer } from '../helpers/file-server.js'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { until } from '../helpers/wait.js'

const MiB = 1024 * 1024
const small = makeFile(4096, 'small', memory())
const oneCall = makeFile(65_536, 'one-call', memory())
/** More than a machine's socket buffers hold. */
const large = makeFile(32 * MiB, 'large')
const medium = makeFile(3 * MiB, 'medium')

async function midway(server: FileServer, path = large.path): Promise<HttpClient> {
  const client = await server.connect()
  client.request(path)
  await client.head()
  await client.take(MiB)
  return client
}

test('there is no thread before the first transfer that needs one, and one reactor ever after', async (t) => {
  const server = await FileServer.start(t)
  const client = await server.connect()
  t.deepEqual((await server.command('report')).threads, [])
  t.is((await client.get(small.path)).hash, sha256(small.bytes))
  t.is((await client.get(oneCall.path)).hash, sha256(oneCall.bytes))
  if (memory() === '/dev/shm') t.deepEqual((await server.command('report')).threads, [])
  for (let i = 0; i < 3; i++) t.is((await client.get(medium.path)).hash, sha256(medium.bytes))
  const { threads } = await server.command('report')
  t.is(threads.filter((name) => name === 'zcio-reactor').length, 1)
})

test('clients that do not read cost neither CPU nor memory', async (t) => {
  const server = await FileServer.start(t)
  await (await server.connect()).get(medium.path)
  const before = await server.command('report')
  const clients = await Promise.all(Array.from({ length: 32 }, () => midway(server)))
  await until('all to be blocked', async () => {
    const { cpu } = await server.command('report')
    await sleep(200)
    return (await server.command('report')).cpu - cpu < 50_000
  })
  const blocked = await server.command('report')
  await sleep(1000)
  const after = await server.command('report')
  t.true(after.cpu - blocked.cpu < 200_000, `${after.cpu - blocked.cpu} µs in a second of waiting`)
  t.true(after.rss - before.rss < 64 * MiB, `${(after.rss - before.rss) / MiB} MiB for 1 GiB under way`)
  const rest = await clients[0]?.take(31 * MiB)
  t.true(rest?.equals(large.bytes.subarray(MiB)))
})

test('1 000 transfers, half of them cut off, leave the descriptors as they were', async (t) => {
  const server = await FileServer.start(t)
  const files = [small, oneCall, makeFile(300_000), medium]
  const { sockets } = await server.command('report')
  const first = await server.connect()
  await first.get(medium.path)
  first.destroy()
  await until(
    'the first connection to be closed',
    async () => (await server.command('report')).sockets === sockets,
  )
  const { descriptors } = await server.command('report')
  const one = async (i: number): Promise<void> => {
    const client = await server.connect()
    client.request(files[i % files.length]?.path)
    if (i % 8 < 4) t.true((await client.answer()).complete)
    else if (i % 16 < 12) await client.head()
    if (i % 3 === 0) client.reset()
    else client.destroy()
  }
  for (let i = 0; i < 1000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => one(i + j)))
  await until('all to be over', async () => {
    const { done, failed } = await server.command('report')
    return done + failed === 1001
  })
  await until('all to be closed', async () => (await server.command('report')).sockets === sockets)
  t.is((await server.command('report')).descriptors, descriptors)
})

test('a process ends by itself after its last transfer', async (t) => {
  const server = await FileServer.start(t)
  const client = await server.connect()
  await client.get(medium.path)
  await server.command('close')
  t.deepEqual(await server.ended(), { code: 0, signal: null })
})

test('server.close() lets a transfer that is under way come to its end', async (t) => {
  const server = await FileServer.start(t)
  const client = await midway(server)
  await server.command('close')
  t.is((await client.take(31 * MiB)).length, 31 * MiB)
  client.destroy()
  t.deepEqual(await server.ended(), { code: 0, signal: null })
})

test('a transfer keeps the process alive until it is over, and no longer', async (t) => {
  const server = await FileServer.start(t)
  const client = await midway(server)
  await server.command('unref')
  await sleep(300)
  t.is((await client.take(31 * MiB)).length, 31 * MiB)
  t.deepEqual(await server.ended(), { code: 0, signal: null })
})

test('process.exit() during transfers ends the process and the connections', async (t) => {
  const server = await FileServer.start(t)
  const clients = await Promise.all(Array.from({ length: 8 }, () => midway(server)))
  server.exit()
  t.deepEqual(await server.ended(), { code: 7, signal: null })
  for (const client of clients) t.true((await client.drain()) < 31 * MiB)
})

test('a signal during transfers ends the process as always', async (t) => {
  const server = await FileServer.start(t)
  const client = await midway(server)
  server.kill()
  t.deepEqual(await server.ended(), { code: null, signal: 'SIGTERM' })
  t.true((await client.drain()) < 31 * MiB)
})
