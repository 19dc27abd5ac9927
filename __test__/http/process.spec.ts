// What serving files means for a process: its threads, and that it may end at any time. What clients that come, stall
// and go cost it is in ways/.

import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { FileServer } from '../helpers/file-server.js'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'

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

test('a process ends by itself after its last transfer', async (t) => {
  const server = await FileServer.start(t)
  const client = await server.connect()
  await client.get(medium.path)
  await server.command('close')
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
