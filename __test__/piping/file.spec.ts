import 'zcio/register'
import test from 'ava'
import { once } from 'node:events'
import { createReadStream, type ReadStream } from 'node:fs'
import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { AsyncLocalStorage } from 'node:async_hooks'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { stats } from 'zcio'
import { tally } from '#src/piping/tally.js'
import { LARGE, resize, Scene } from '../fixtures/piping/scene.js'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { failure } from '../helpers/failures.js'
import { until } from '../helpers/wait.js'

const long = makeFile(LARGE)

interface Way {
  client: HttpClient
  source: ReadStream
  res: ServerResponse
  /** What joining them gave. */
  joined: unknown
}

/** A file on its way to a client that has read nothing but the head, cut to less than what is on its way. */
async function cut(
  t: { teardown(end: () => void): void },
  join: (way: Omit<Way, 'joined'>) => unknown,
): Promise<Way> {
  const file = makeFile(LARGE)
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  let way: Way | undefined
  const client: HttpClient = await scene.serve((_, res) => {
    res.setHeader('Content-Length', LARGE)
    const source = createReadStream(file.path)
    way = { client, source, res, joined: join({ client, source, res }) }
  })
  client.request()
  await client.head()
  if (way === undefined) throw new Error('no request came')
  await scene.read(way.source, 1)
  resize(file.path, way.source.bytesRead)
  return way
}

test.serial(
  'a file that is cut on its way ends the connection, and whoever listens for its errors is told',
  async (t) => {
    const errors: NodeJS.ErrnoException[] = []
    const { client, source, res } = await cut(t, ({ source, res }) => {
      source.on('error', (error) => errors.push(error))
      source.pipe(res)
    })
    t.true((await client.drain()) < LARGE)
    await until('the ends', () => source.closed && res.closed)
    t.is(errors.length, 1)
    t.like(errors[0], { code: 'ERR_ZCIO_SOURCE_TRUNCATED', bytes: source.bytesRead, side: 'source' })
    t.false(res.writableFinished)
  },
)

test.serial(
  'where nobody listens for errors of the file it ends as in Node, and the connection goes',
  async (t) => {
    const events: string[] = []
    const { client, source } = await cut(t, ({ source, res }) => {
      for (const event of ['end', 'close']) source.once(event, () => events.push(event))
      source.pipe(res)
    })
    t.true((await client.drain()) < LARGE)
    await until('the end', () => source.closed)
    t.deepEqual(events, ['end', 'close'])
  },
)

test.serial('a pipeline rejects with the reason for which a file was cut', async (t) => {
  const { client, res, joined } = await cut(t, ({ source, res }) => pipeline(source, res))
  const failing = failure(joined as Promise<void>)
  await client.drain()
  t.like(await failing, { code: 'ERR_ZCIO_SOURCE_TRUNCATED', side: 'source' })
  t.true(res.destroyed)
})

test.serial('the connection serves the next request after a file', async (t) => {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  const files = [makeFile(LARGE), makeFile(100_000), makeFile(5_000), makeFile(1 << 20, 'file', memory())]
  const client = await scene.serve((req, res) => {
    const file = files[Number(req.url?.slice(1))]
    res.setHeader('Content-Length', file?.bytes.length ?? 0)
    createReadStream(file?.path ?? '').pipe(res)
  })
  for (const [index, { bytes }] of [...files, ...files].entries()) {
    t.is((await client.get(`/${index % files.length}`)).hash, sha256(bytes))
  }
})

test.serial('an application stays in its async context', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  const { path } = makeFile(LARGE)
  const seen: unknown[] = []
  const client = await scene.serve((req, res) => {
    storage.run(`for ${req.url ?? ''}`, () => {
      res.setHeader('Content-Length', LARGE)
      const source = createReadStream(path)
      source.once('end', () => seen.push(storage.getStore()))
      source.pipe(res)
    })
  })
  for (const url of ['/a', '/b']) await client.get(url)
  await until('both ends', () => seen.length === 2)
  t.deepEqual(seen, ['for /a', 'for /b'])
})

test.serial('what has moved shows while it moves', async (t) => {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  const { path } = makeFile(LARGE)
  const before = tally().runs
  const seen: [number, number][] = []
  const client = await scene.serve((_, res) => {
    const source = createReadStream(path, { start: 0 })
    res.setHeader('Content-Length', LARGE)
    source.pipe(res)
    const look = setInterval(() => seen.push([source.bytesRead, res.socket?.bytesWritten ?? 0]), 10)
    res.once('close', () => {
      clearInterval(look)
    })
  })
  client.request()
  await client.head()
  for (let i = 0; i < 6; i++) {
    const last = seen.length
    await client.take(LARGE / 12)
    await until('another look', () => seen.length > last + 10)
  }
  const counts = new Set(seen.map(([read]) => read))
  t.true(counts.size > 3, [...counts].join())
  // The socket counts at each look; the stream is told every 50 ms.
  for (const [read, written] of seen) t.true(written >= read, `${written} of ${read}`)
  await client.take(LARGE / 2)
  await until('one run', () => tally().runs === before + 1)
})

const piping: Record<string, (listen: (socket: Socket) => void) => Server> = {
  'a socket': (listen) =>
    createServer((socket) => {
      listen(socket)
      createReadStream(long.path).pipe(socket)
    }),
  'a response': (listen) =>
    createHttpServer((_, res) => {
      res.setHeader('Content-Length', LARGE)
      createReadStream(long.path).pipe(res)
    }).on('connection', listen),
}

for (const [name, serve] of Object.entries(piping)) {
  test.serial(`a reset by who gets a file by ${name} is told of, and not taken for an end`, async (t) => {
    const told: unknown[] = []
    const server = serve((socket) => {
      let code: unknown
      socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code))
      socket.on('close', (hadError) => told.push(`${String(code)} ${hadError}`))
    }).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (let round = 0; round < 15; round++) {
      await until('nothing to be under way', () => stats().transfers.active === 0)
      const client = connect(port, '127.0.0.1')
      client.pause().write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await until('a run', () => stats().transfers.active > 0)
      // By then it waits for room.
      await sleep(50)
      client.resetAndDestroy()
      await until('the end', () => told.length === round + 1)
    }
    t.deepEqual([...new Set(told)], ['ECONNRESET true'])
  })
}
