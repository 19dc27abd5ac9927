// What becomes of an answer that is under way, by each of the four ways in, when the client, the file or the application
// changes. The bytes that came are those of the file, the rest comes or the connection ends, and nothing is left behind.

import test, { type ExecutionContext } from 'ava'
import { appendFileSync, rmSync, truncateSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { before, IDLE, IDLING } from '../../fixtures/preparations.js'
import type { Report } from '../../fixtures/file-server.js'
import { WAYS } from '../../fixtures/ways.js'
import { FileServer } from '../../helpers/file-server.js'
import { memory, pathFor, pattern, sha256 } from '../../helpers/files.js'
import type { HttpClient } from '../../helpers/http-client.js'
import { until } from '../../helpers/wait.js'
import { put } from '../../helpers/static-server.js'
import { HUGE, type Served } from '../../helpers/ways.js'

const MiB = 1 << 20

const root = pathFor('midway', memory())
put(root, 'small.bin', pattern(4097))
const serverOf = FileServer.shared(test, WAYS, root)
let made = 0

interface Midway {
  server: FileServer
  client: HttpClient
  file: Served
  /** What the server held before. */
  before: Report
}

/** A client that has read one MiB of a huge file of its own, and then no more. */
async function midway(t: ExecutionContext, server: FileServer, query = ''): Promise<Midway> {
  const bytes = pattern(HUGE, made)
  const url = `/huge-${made++}.bin`
  const path = put(root, url, bytes)
  const before = await server.command('report')
  // A unix socket's buffer is small, so that the client's pace is the server's.
  const client = await server.connect('unix')
  t.teardown(() => {
    client.destroy()
    rmSync(path)
  })
  client.request(url + query)
  t.is((await client.head()).headers['content-length'], String(HUGE))
  t.true((await client.take(MiB)).equals(bytes.subarray(0, MiB)))
  return { server, client, before, file: { url, path, bytes } }
}

/** Waits until the answer has ended early, and nothing that it needed is open. */
async function isOver({ server, before }: Midway): Promise<void> {
  await until('the end of the answer', async () => (await server.command('report')).failed > before.failed)
  await until('all to be closed', async () => {
    const { sockets, files } = await server.command('report')
    return sockets === before.sockets && files === before.files
  })
}

for (const way of WAYS) {
  test.serial(`a client that goes midway ends its answer by ${way}`, async (t) => {
    const scene = await midway(t, serverOf(way))
    scene.client.destroy()
    await isOver(scene)
    t.pass()
  })

  test.serial(`a response by ${way} that is destroyed midway ends the connection at once`, async (t) => {
    const scene = await midway(t, serverOf(way))
    await scene.server.command('destroy')
    const rest = await scene.client.take(HUGE)
    t.true(rest.length < HUGE - MiB)
    t.true(scene.file.bytes.subarray(MiB, MiB + rest.length).equals(rest))
    await isOver(scene)
  })

  test.serial(
    `a file that becomes shorter on its way by ${way} ends the connection, before any other answer`,
    async (t) => {
      const scene = await midway(t, serverOf(way))
      const { client, file } = scene
      client.request('/small.bin')
      truncateSync(file.path, 2 * MiB)
      const rest = await client.take(HUGE)
      t.true(rest.length < HUGE - MiB, 'and it is not padded')
      t.true(file.bytes.subarray(MiB, MiB + rest.length).equals(rest))
    },
  )

  test.serial(
    `a file that grows on its way by ${way} arrives as long as it was, and then as it has become`,
    async (t) => {
      const { client, file } = await midway(t, serverOf(way))
      const more = pattern(1000, 9)
      appendFileSync(file.path, more)
      t.true((await client.take(HUGE - MiB)).equals(file.bytes.subarray(MiB)))
      t.is((await client.get(file.url)).hash, sha256(Buffer.concat([file.bytes, more])))
    },
  )

  test.serial(
    `server.close() lets an answer by ${way} come to its end, and then the process ends`,
    async (t) => {
      const { server, client, file } = await midway(t, await FileServer.start(t, way, root))
      await server.command('close')
      t.true((await client.take(HUGE - MiB)).equals(file.bytes.subarray(MiB)))
      client.destroy()
      t.deepEqual(await server.ended(), { code: 0, signal: null })
    },
  )

  test.serial(
    `an idle timeout does not fire while bytes move by ${way}, and fires when they stop`,
    async (t) => {
      const { server, client, file, before: were } = await midway(t, serverOf(way), before(IDLING))
      const began = performance.now()
      let at = MiB
      for (; performance.now() - began < 2 * IDLE; at += MiB / 4) {
        t.true((await client.take(MiB / 4)).equals(file.bytes.subarray(at, at + MiB / 4)))
        await sleep(IDLE / 40)
      }
      t.is((await server.command('report')).failed, were.failed)
      await until('the timeout', async () => (await server.command('report')).failed > were.failed)
      t.true((await client.drain()) < HUGE - at)
    },
  )

  test.serial(`32 clients that do not read what ${way} sends cost neither CPU nor memory`, async (t) => {
    const { server, client, file } = await midway(t, serverOf(way))
    const { rss } = await server.command('report')
    const others = await Promise.all(Array.from({ length: 32 }, () => server.connect('unix')))
    for (const other of others) other.request(file.url)
    await Promise.all(others.map((other) => other.take(MiB)))
    let { cpu } = await server.command('report')
    await until('all to be blocked', async () => {
      await sleep(200)
      const spent = -cpu + (cpu = (await server.command('report')).cpu)
      return spent < 20_000
    })
    const grown = (await server.command('report')).rss - rss
    t.true(grown < 32 * MiB, `${grown / MiB} MiB for ${(32 * HUGE) / MiB} MiB under way`)
    for (const other of others) other.destroy()
    t.true((await client.take(HUGE - MiB)).equals(file.bytes.subarray(MiB)))
  })
}
