// Clients that mean no good: they go in the midst of anything, read byte by byte, or ask for what is not theirs. The
// server keeps nothing of them, serves others meanwhile, and gives nothing away.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WAYS } from '../../fixtures/ways.js'
import { FileServer } from '../../helpers/file-server.js'
import { pathFor, sha256 } from '../../helpers/files.js'
import { put } from '../../helpers/static-server.js'
import { until } from '../../helpers/wait.js'
import { makeServed, SIZES } from '../../helpers/ways.js'

const { root, files } = makeServed({ ...SIZES, huge: 8 << 20 })
const urls = Object.values(files).map(({ url }) => url)
const serverOf = FileServer.shared(test, WAYS, root)

/** More of them take longer: ZCIO_ABORTS=100000. */
const ABORTS = Number(process.env.ZCIO_ABORTS ?? 3000)
const PIPELINED = 4
const AT_ONCE = 50

/** Where a client goes; the bytes of a request or of an answer that it still waits for. */
const GOES: Record<string, { sends?: number; takes?: number }> = {
  'in the midst of its first request': { sends: 20 },
  'without waiting': {},
  'in the midst of a head': { takes: 30 },
  'in the midst of a body': { takes: 3000 },
  'in the midst of a large body': { takes: 60_000 },
}
const goes = Object.values(GOES)

for (const way of WAYS) {
  test.serial(`${ABORTS} requests whose clients go anywhere leave ${way} as it was`, async (t) => {
    const server = serverOf(way)
    const once = await server.connect()
    for (const url of urls) await once.get(url)
    once.destroy()
    const before = await settled(server)
    const ends: Promise<void>[] = []
    for (let i = 0; i < ABORTS / PIPELINED; i++) {
      if (i >= AT_ONCE) await ends[i - AT_ONCE]
      ends.push(abort(server, i))
    }
    await Promise.all(ends)
    await until('all to be closed', async () => (await server.command('report')).descriptors === before)
    const client = await server.connect()
    t.is((await client.get(files.huge.url)).hash, sha256(files.huge.bytes))
    client.destroy()
  })

  test.serial(`clients that read byte by byte hold up nobody else by ${way}`, async (t) => {
    const server = serverOf(way)
    const slow = await Promise.all(Array.from({ length: 64 }, () => server.connect('unix')))
    for (const client of slow) client.request(files.huge.url)
    let isOver = false
    const reading = slow.map(async (client) => {
      await client.head()
      let at = 0
      for (; !isOver; at++) {
        if ((await client.take(1))[0] !== files.huge.bytes[at]) throw new Error(`another byte at ${at}`)
        await sleep(2)
      }
      return at
    })
    const client = await server.connect()
    for (let i = 0; i < 10; i++) {
      for (const { url, bytes } of Object.values(files)) t.is((await client.get(url)).hash, sha256(bytes))
    }
    isOver = true
    for (const at of await Promise.all(reading)) t.true(at > 0)
    for (const one of [...slow, client]) one.destroy()
  })
}

/** The descriptors of a server whose clients have gone. */
async function settled(server: FileServer): Promise<number> {
  let last = -1
  let descriptors = (await server.command('report')).descriptors
  await until('the server to settle', async () => {
    last = descriptors
    descriptors = (await server.command('report')).descriptors
    return last === descriptors
  })
  return descriptors
}

async function abort(server: FileServer, i: number): Promise<void> {
  const { sends, takes = 0 } = goes[i % goes.length] ?? {}
  const client = await server.connect()
  const requests = Array.from({ length: PIPELINED }, (_, j) => requestFor(urls[(i + j) % urls.length]))
  client.socket.write(requests.join('').slice(0, sends))
  await client.take(takes)
  if (i % 2 === 0) client.reset()
  else client.destroy()
}

function requestFor(url = '/'): string {
  return `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

/** What leads out of a directory somewhere: each is put before the path of a secret. */
const UP = [
  ...['..', '%2e%2e', '%2E.', '.%2e', '%252e%252e', '%c0%ae%c0%ae', '%e0%80%ae%e0%80%ae', '..%00', '..;'],
  ...['..%0d%0a', '....', '%uff0e%uff0e', '..%ff', '%2e%2e%2e', '. .', '..%20', '%ef%bc%8e%ef%bc%8e', '~'],
]
const SLASHES = [
  '/',
  '//',
  '%2f',
  '%252f',
  '\\',
  '%5c',
  '%c0%af',
  '%e0%80%af',
  '/./',
  '%ef%bc%8f',
  '/%00/',
  '|',
]

test('no path leads out of the root of serveStatic, however it is written', async (t) => {
  const place = pathFor('attacked')
  const secret = 'the secret'
  put(place, 'secret.txt', secret)
  put(place, 'root-of-others/secret.txt', secret)
  put(place, 'root/dir/file.txt', 'public')
  for (const [link, target] of Object.entries({ up: '..', out: '../secret.txt', all: '/' }))
    symlinkSync(target, join(place, 'root', link))
  const server = await FileServer.start(t, 'serveStatic', join(place, 'root'))
  const paths = UP.flatMap((up) =>
    SLASHES.flatMap((slash) => [
      `/${up}${slash}secret.txt`,
      `/dir/${up}${slash}${up}${slash}secret.txt`,
      `/dir${slash}${up}${slash}${up}${slash}secret.txt`,
      `/${up}${slash}root-of-others${slash}secret.txt`,
      `${up}${slash}secret.txt`,
      `http://localhost/${up}${slash}secret.txt`,
    ]),
  )
  const links = ['/out', '/up/secret.txt', '/up/root/dir/file.txt', `/all${place}/secret.txt`]
  const absolute = [`${place}/secret.txt`, `/${place}/secret.txt`, `file://${place}/secret.txt`]
  for (const path of [...paths, ...links, ...absolute]) {
    const client = await server.connect('unix')
    client.request(path, 'GET', 'Connection: close')
    const answer = (await client.take(Infinity)).toString('latin1')
    t.regex(answer, /^HTTP\/1\.1 (400|403|404) /, path)
    t.false(answer.includes(secret), path)
  }
  const client = await server.connect('unix')
  t.is((await client.get('/dir/file.txt')).hash, sha256(Buffer.from('public')))
})

test('what is beneath the root and no file is not there, and nothing waits for it', async (t) => {
  const place = pathFor('special')
  put(place, 'file.txt', 'public')
  execFileSync('mkfifo', [join(place, 'fifo')])
  symlinkSync('fifo', join(place, 'to-fifo'))
  // Only root may make a device; everybody has some in /dev.
  const devices = ['null', 'zero', 'full', 'tty', 'random']
  for (const [root, names] of [
    [place, ['fifo', 'to-fifo']],
    ['/dev', devices],
  ] as const) {
    const server = await FileServer.start(t, 'serveStatic', root)
    const client = await server.connect()
    for (const name of names) t.is((await client.get(`/${name}`)).status, 404, name)
    client.destroy()
  }
})
