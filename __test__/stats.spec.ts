// Counters: each byte once, under the mechanism that moved it, whoever did.

import test, { type ExecutionContext } from 'ava'
import { PassThrough, Readable, Writable } from 'node:stream'
import { capabilities, configure, stats, transfer, type Stats } from 'zcio'
import { tell } from './helpers/children.js'
import { opened, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, memory, pattern } from './helpers/files.js'
import { serveFile } from './helpers/http-server.js'
import { bare, received, sockets } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const bytes = pattern(100_000)

/** What has been added by a piece of work: numbers only, without those that are as before. */
async function added(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = flat(stats())
  await work()
  const after = flat(stats())
  const differences = Object.entries(after).map(
    ([name, count]) => [name, count - (before[name] ?? 0)] as const,
  )
  return Object.fromEntries(differences.filter(([name, count]) => count !== 0 && !/^(pipes|disk)/.test(name)))
}

function flat(value: object, path = ''): Record<string, number> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]: [string, unknown]) =>
      typeof inner === 'object' && inner !== null
        ? Object.entries(flat(inner, `${path}${name}.`))
        : [[`${path}${name}`, inner as number]],
    ),
  )
}

const once = { 'transfers.started': 1, 'transfers.completed': 1 }

test.serial('between files', async (t) => {
  const [from, to] = [source(t, bytes), sink(t)]
  const options = { disable: ['reflink', 'copy_file_range'] as const }
  t.deepEqual(await added(() => transfer(from, to, options)), {
    ...once,
    'bytes.sendfile': bytes.length,
    'fallbacks.SWITCHED_OFF': 2,
  })
})

test.serial('through a pipe of the engine, which is there for a while', async (t) => {
  const [near, far] = await sockets(t)
  const [sent, arrives] = await sockets(t, 'unix')
  const arrived = received(arrives)
  near.end(bytes)
  t.deepEqual(await added(() => transfer(bare(far), sent)), { ...once, 'bytes.splice': bytes.length })
  t.is((await arrived).length, bytes.length)
  t.true(stats().pipes <= 1)
  await until('an idle engine without pipes', () => stats().pipes === 0)
})

test.serial('a pipe with bytes that nobody takes is one', async (t) => {
  const [near, far] = await sockets(t)
  const [full, reader] = await sockets(t, 'unix')
  near.end(pattern(4_000_000))
  const moving = transfer(bare(far), full)
  await until('a pipe in use', () => stats().pipes === 1 && stats().transfers.active === 1)
  t.is((await received(reader)).length, 4_000_000)
  await moving
  t.is(stats().transfers.active, 0)
})

test.serial("by Node's streams", async (t) => {
  const to = new PassThrough().resume()
  t.deepEqual(await added(() => transfer(Readable.from([bytes]), to)), {
    ...once,
    'bytes.stream': bytes.length,
    'fallbacks.STREAM': 1,
  })
  const broken = new Writable({
    write: (_chunk, _encoding, done) => {
      done(new Error('full'))
    },
  })
  t.like(await added(() => failure(transfer(Readable.from([bytes]), broken))), {
    'transfers.started': 1,
    'transfers.failed': 1,
  })
})

test.serial('what fails midway counts what had moved; what is refused does not count', async (t) => {
  const between = pipe(t)
  const aborting = new AbortController()
  const counts = await added(async () => {
    const moving = transfer(source(t, bytes), between.writer, { signal: aborting.signal })
    await until('a full pipe', () => between.buffered === 65_536)
    aborting.abort()
    t.is((await failure(moving)).bytes, 65_536)
  })
  t.deepEqual(counts, { 'transfers.started': 1, 'transfers.failed': 1, 'bytes.splice': 65_536 })
  t.deepEqual(await added(() => failure(transfer(opened(t, '/'), sink(t)))), {})
})

/** In memory, so that short ones go the short ways: read and sent, by one sendfile, and by the engine. */
for (const [size, mechanism] of [
  [1000, 'read_write'],
  [40_000, 'sendfile'],
  [500_000, 'sendfile'],
] as const) {
  test.serial(`a response of ${size} bytes is one transfer by ${mechanism}`, async (t) => {
    const file = makeFile(size, 'body', memory())
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    const counts = await added(async () => {
      t.is((await client.get()).bytes, size)
      await server.outcome()
    })
    t.deepEqual(counts, { ...once, [`bytes.${mechanism}`]: size })
  })
}

test.serial('a chunked response is counted as a stream, with the reason', async (t) => {
  const file = makeFile(1000)
  const server = await serveFile(t, file.path, {
    prepare: (res) => {
      res.setHeader('Transfer-Encoding', 'chunked')
    },
  })
  const client = await server.connect()
  const counts = await added(async () => {
    await client.get()
    await server.outcome()
  })
  t.deepEqual(counts, { ...once, 'bytes.stream': 1000, 'fallbacks.CHUNKED': 1 })
})

test.serial('what waits for a disk thread is queued', async (t) => {
  t.teardown(() => {
    configure({ diskThreads: 4 })
  })
  configure({ diskThreads: 1 })
  const from = source(t, 16_000_000)
  const copying = Array.from({ length: 6 }, () => transfer(from, sink(t), { start: 0, disable: ['reflink'] }))
  await until('a queue', () => stats().disk.queued >= 2)
  t.true(stats().disk.threads >= 1)
  await Promise.all(copying)
  t.is(stats().disk.queued, 0)
})

test('the engine counts for the process, and JavaScript for its thread', async (t) => {
  const { path } = makeFile(1000)
  const program = `
    import { Worker } from 'node:worker_threads'
    import { stats } from 'zcio'
    const worker = new Worker(\`
      import { parentPort } from 'node:worker_threads'
      import { constants, openSync } from 'node:fs'
      import { PassThrough, Readable } from 'node:stream'
      import('zcio').then(async ({ transfer }) => {
        await transfer(openSync('${path}'), openSync('/dev/null', constants.O_WRONLY | constants.O_NONBLOCK))
        await transfer(Readable.from(['abc']), new PassThrough().resume())
        parentPort.postMessage('done')
      })\`, { eval: true })
    worker.once('message', () => {
      const { transfers, bytes } = stats()
      console.log(JSON.stringify({ started: transfers.started, sendfile: bytes.sendfile, stream: bytes.stream }))
    })`
  t.deepEqual(await tell(program), { started: 1, sendfile: 1000, stream: 0 })
})

test('without a transfer there is nothing, and asking starts nothing', async (t) => {
  const program = `
    import { stats } from 'zcio'
    import { readdirSync } from 'node:fs'
    const before = readdirSync('/proc/self/task').length
    const told = stats()
    console.log(JSON.stringify({ told, threads: readdirSync('/proc/self/task').length - before }))`
  const { told, threads } = (await tell(program)) as { told: Stats; threads: number }
  t.deepEqual(told.transfers, { started: 0, active: 0, completed: 0, failed: 0 })
  t.deepEqual(told.fallbacks, {})
  t.deepEqual(Object.keys(told.bytes), Object.keys(capabilities().mechanisms))
  t.is(threads, 0)
})

test('a type of its own', (t: ExecutionContext) => {
  const told: Stats = stats()
  t.deepEqual(Object.keys(told), ['transfers', 'bytes', 'fallbacks', 'pipes', 'disk'])
})
