// What transfers cost a process: threads, CPU, descriptors; that it ends when it should; and other threads of it.

import test from 'ava'
import { once } from 'node:events'
import { fstatSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { transfer } from 'zcio'
import { run, tell } from './helpers/children.js'
import { content, opened, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, memory, pathFor, pattern, sha256 } from './helpers/files.js'
import { openDescriptors, threads } from './helpers/processes.js'
import { bare, sockets, take } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const MIB = 2 ** 20
const bytes = pattern(16 * MIB)
const file = makeFile(bytes)

/** Of the child that imports it. */
const tools = `
  import * as zcio from 'zcio'
  import { openSync, readdirSync, readFileSync } from 'node:fs'
  import { connect, createServer } from 'node:net'
  import { once } from 'node:events'
  const { transfer } = zcio
  const source = openSync(${JSON.stringify(file.path)})
  const threads = () => readdirSync('/proc/self/task')
    .map((task) => readFileSync('/proc/self/task/' + task + '/comm', 'utf8').trim())
    .filter((name) => name.startsWith('zcio')).sort()
  const all = () => readdirSync('/proc/self/task').length
  /** A connected socket whose peer does not read. */
  const stalled = async () => {
    const server = createServer({ pauseOnConnect: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect(server.address().port, '127.0.0.1')
    const [far] = await once(server, 'connection')
    server.close()
    return { socket, far }
  }`

test('there is no thread before the first transfer, and few for many', async (t) => {
  const to = pathFor('sink')
  const told = await tell(`${tools}
    const sink = openSync(${JSON.stringify(to)}, 'w+')
    const threadsBefore = all()
    const { Pipe, allocPages, vmspliceSync, sendfileSync, capabilities } = zcio
    capabilities()
    const pipe = new Pipe()
    vmspliceSync(pipe.writer, allocPages(4096))
    sendfileSync(sink, source, 0, 4096)
    await transfer(-1, -1).catch(() => undefined)
    await transfer(source, sink, { signal: AbortSignal.abort() }).catch(() => undefined)
    const before = [all() - threadsBefore, threads()]
    await transfer(source, sink, { start: 0 })
    const first = threads()
    const many = () => transfer(source, sink, { start: 0, sinkStart: 0 })
    for (let i = 0; i < 5; i += 1) await Promise.all(Array.from({ length: 10 }, many))
    console.log(JSON.stringify([before, first, threads()]))`)
  const [before, first, last] = told as [unknown, string[], string[]]
  t.deepEqual(before, [0, []])
  t.deepEqual(first, ['zcio-disk', 'zcio-reactor'])
  t.deepEqual(new Set(last), new Set(first))
  t.true(last.length <= 5, `${last.length} threads`)
})

test('a process ends by itself after its last transfer, and not before', async (t) => {
  for (const wait of ['', 'await ']) {
    const to = pathFor('sink')
    const ended = await run(`${tools}
      const sink = openSync(${JSON.stringify(to)}, 'w')
      ${wait}transfer(source, sink).then(({ bytes }) => console.log(bytes))`)
    t.deepEqual(ended, { code: 0, signal: null, stdout: `${bytes.length}\n`, stderr: '' })
    t.is(sha256(readFileSync(to)), sha256(bytes))
  }
})

test('a process may end, be ended or fail in the middle of transfers', async (t) => {
  for (const [how, code, signal] of [
    ['process.exit(3)', 3, null],
    ["process.kill(process.pid, 'SIGTERM')", null, 'SIGTERM'],
    ["throw new Error('by itself')", 1, null],
  ] as const) {
    const ended = await run(`${tools}
      const { socket } = await stalled()
      const moving = [transfer(source, socket, { start: 0 })]
      for (let i = 0; i < 5; i += 1) moving.push(transfer(source, openSync('/dev/null', 'w'), { start: 0 }))
      for (const promise of moving) promise.catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 20))
      ${how}
      await new Promise((resolve) => setTimeout(resolve, 10_000))`)
    t.like(ended, { code, signal })
  }
})

test('a transfer that waits for its peer keeps the process, costs no CPU, and ends with its signal', async (t) => {
  const told = await tell(`${tools}
    const { socket, far } = await stalled()
    far.unref()
    const controller = new AbortController()
    let bytes = -1
    const moving = transfer(source, socket._handle.fd, { start: 0, signal: controller.signal })
      .catch((error) => { bytes = error.bytes })
    socket.unref()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { user, system } = process.cpuUsage(before)
    controller.abort()
    await moving
    console.log(JSON.stringify({ cpu: user + system, bytes }))`)
  const { cpu, bytes: moved } = told as { cpu: number; bytes: number }
  t.true(cpu < 200_000, `${cpu} µs in a second`)
  t.true(moved > 0 && moved < bytes.length)
})

test('a process is held though timers were mocked when its first transfer began', async (t) => {
  const ended = await run(`${tools}
    import { mock } from 'node:test'
    mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
    await transfer(source, openSync('/dev/null', 'w'), { start: 0 })
    mock.timers.reset()
    const { socket, far } = await stalled()
    const moving = transfer(source, socket._handle.fd, { start: 0, length: ${4 * MIB} })
    socket.unref()
    far.unref()
    setTimeout(() => far.resume(), 100).unref()
    console.log((await moving).bytes)`)
  t.like(ended, { code: 0, stdout: `${4 * MIB}\n` })
})

test('transfers go on while JavaScript is busy', async (t) => {
  const path = makeFile(0, 'source', memory()).path
  truncateSync(path, 64 * MIB)
  const to = sink(t, memory())
  const moving = transfer(opened(t, path), to)
  await new Promise(setImmediate)
  const deadline = Date.now() + 20_000
  while (fstatSync(to).size < 64 * MIB && Date.now() < deadline) {
    // The event loop does not turn.
  }
  t.is(fstatSync(to).size, 64 * MIB)
  t.is((await moving).bytes, 64 * MIB)
})

test('1 000 transfers, half of them aborted, leave the descriptors as they were', async (t) => {
  const to = pathFor('sink')
  const told = await tell(`${tools}
    import { createReadStream, createWriteStream } from 'node:fs'
    import { PassThrough } from 'node:stream'
    const open = () => readdirSync('/proc/self/fd').length
    const sink = openSync(${JSON.stringify(to)}, 'w')
    const counts = { done: 0, failed: 0 }
    const one = async (i) => {
      const controller = new AbortController()
      const { signal } = controller
      const streams = i % 3 === 0 ? await stalled() : {}
      const target = streams.socket ?? (i % 3 === 1 ? createWriteStream('/dev/null') : sink)
      const from = i % 2 === 0 ? createReadStream(${JSON.stringify(file.path)}, { end: 99_999 }) : source
      const range = i % 2 === 0 ? {} : { start: 0, length: 100_000 }
      const moving = transfer(from, target, { ...range, ...(target === sink ? { sinkStart: 0 } : {}), signal })
      if (i % 4 < 2) setTimeout(() => controller.abort(), i % 5)
      else streams.far?.resume()
      if (i % 10 === 0) transfer(new PassThrough(), -1).catch(() => undefined)
      await moving.then(() => { counts.done += 1 }, () => { counts.failed += 1 })
      streams.socket?.destroy()
      streams.far?.destroy()
    }
    await one(0); await one(1); await one(2)
    const settled = async (most) => {
      for (let i = 0; i < 200 && open() > most; i += 1) await new Promise((resolve) => setTimeout(resolve, 10))
      return open()
    }
    const before = await settled(0)
    for (let i = 0; i < 1000; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => one(i + j)))
    console.log(JSON.stringify({ before, after: await settled(before), ...counts }))`)
  const { before, after, done, failed } = told as Record<'before' | 'after' | 'done' | 'failed', number>
  t.is(after, before)
  t.is(done + failed, 1003)
  t.true(done > 400, `${done} done`)
})

function begin(copies: string[], socket = -1): Worker {
  return new Worker(new URL('fixtures/transferring-worker.ts', import.meta.url), {
    workerData: { path: file.path, copies, socket },
  })
}

test.serial('workers may be terminated, or exit, midway: nothing stays, and others go on', async (t) => {
  for (let round = 0; round < 4; round += 1) {
    const copies = [pathFor('copy'), pathFor('copy')]
    const workers = [begin(copies.slice(0, 1)), begin(copies.slice(1))]
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    await sleep(round * 10)
    const to = sink(t)
    const own = transfer(source(t, bytes), to)
    await Promise.all(
      workers.map(async (worker, index) => {
        if (index === round % 2) return worker.terminate()
        const exit = once(worker, 'exit')
        worker.postMessage('exit')
        return exit
      }),
    )
    t.is((await own).bytes, bytes.length)
    t.is(sha256(content(to)), sha256(bytes))
    for (const copy of copies) t.true(statSync(copy).size <= bytes.length)
  }
  await until('the copies to be closed', () => !openDescriptors().some((link) => link.endsWith('copy')))
  t.is(threads().filter((name) => name === 'zcio-reactor').length, 1)
})

test.serial("a worker's end stops its transfers, and leaves other threads' sockets alone", async (t) => {
  const [near, far] = await sockets(t)
  const worker = begin([], bare(near))
  await once(worker, 'message')
  t.is((await take(far, 1000)).length, 1000)
  t.is((await failure(transfer(source(t, 10), bare(near)))).code, 'ERR_ZCIO_BUSY')
  await worker.terminate()
  far.on('data', () => undefined)
  const to = source(t, Buffer.from('still here'))
  await until('the socket to be free', async () => {
    const again = await transfer(to, bare(near), { start: 0 }).catch(() => undefined)
    return again?.bytes === 10
  })
  t.true(near.writable)
})
