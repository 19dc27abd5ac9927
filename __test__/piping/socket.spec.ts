import 'zcio/register'
import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { closeSync, createWriteStream, openSync, readFileSync, type WriteStream } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { transfer } from 'zcio'
import { BULK } from '#src/piping/bulk.js'
import { tally } from '#src/piping/tally.js'
import { bytes, MUCH, pair, received, reset } from '../fixtures/piping/relay.js'
import { LARGE, MEDIUM, Scene } from '../fixtures/piping/scene.js'
import { fifo } from '../helpers/descriptors.js'
import { pathFor, sha256 } from '../helpers/files.js'
import { until } from '../helpers/wait.js'

function scene(t: { teardown(end: () => void): void }): Scene {
  const made = new Scene()
  t.teardown(() => {
    made.close()
  })
  return made
}

test.serial(
  "a reset that overtakes the rest of the bytes is the source's error, as Node tells it",
  async (t) => {
    const made = scene(t)
    const [[client, a], [b, server]] = [await pair(made), await pair(made)]
    client.on('error', () => undefined)
    const runs = tally().runs
    a.pipe(b)
    client.write(bytes)
    await until('much', () => a.bytesRead >= MUCH)
    reset(client)
    const failing = once(a, 'error') as Promise<[NodeJS.ErrnoException]>
    server.resume()
    const [error] = await failing
    t.like(error, { message: 'read ECONNRESET', code: 'ECONNRESET', errno: -104, syscall: 'read' })
    t.deepEqual(Object.keys(error), ['errno', 'code', 'syscall'])
    await until('what came', () => server.bytesRead === a.bytesRead)
    t.is(tally().runs, runs + 1)
  },
)

test.serial('what a listener throws is nobody’s rejection but an exception', async (t) => {
  const made = scene(t)
  const [[client, a], [b]] = [await pair(made), await pair(made)]
  a.pipe(b)
  client.write(bytes)
  await until('much', () => a.bytesRead >= MUCH)
  const others = process.rawListeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const thrown = new Promise<Error>((resolve) => process.once('uncaughtException', resolve))
  a.once('data', () => {
    throw new Error('of the application')
  })
  t.is((await thrown).message, 'of the application')
  for (const other of others) process.on('uncaughtException', other as () => void)
})

test.serial('an interrupted socket has to bring as much again before the kernel goes on', async (t) => {
  const made = scene(t)
  const [[client, a], [b, server]] = [await pair(made), await pair(made)]
  const runs = tally().runs
  const coming = received(server)
  a.pipe(b)
  client.write(bytes.subarray(0, MEDIUM))
  await until('all of it', () => server.bytesRead === MEDIUM)
  for (let i = 0; i < 10; i++) {
    b.write('!')
    client.write('?')
    await until('both', () => server.bytesRead === MEDIUM + 2 * (i + 1))
  }
  t.is(tally().runs, runs + 1)
  client.end(bytes)
  t.is((await coming).length, MEDIUM + 20 + LARGE)
  t.is(tally().runs, runs + 2)
})

test.serial('a file that is slower than its socket gets it from the kernel all the same', async (t) => {
  const made = scene(t)
  for (let round = 0; round < 4; round++) {
    const [client, a] = await pair(made)
    const path = pathFor('received')
    const before = tally().bytes
    client.end(bytes)
    await once(a.pipe(createWriteStream(path)), 'close')
    t.is(sha256(readFileSync(path)), sha256(bytes))
    t.true(tally().bytes - before > 0.9 * LARGE, `${tally().bytes - before}`)
  }
})

/** A socket that is held back, since its file takes long for what the stream holds. */
async function heldBack(
  t: ExecutionContext,
): Promise<{ client: Socket; a: Socket; sink: WriteStream; path: string }> {
  const [client, a] = await pair(scene(t))
  const listen = (): void => undefined
  a.on('data', listen)
  client.write(bytes.subarray(0, BULK))
  await until('it to have brought much', () => a.bytesRead === BULK)
  a.off('data', listen).pause()
  for (const digit of '0123456789') {
    const before = a.bytesRead
    client.write(digit)
    await until('a chunk of its own', () => a.bytesRead === before + 1)
  }
  const path = pathFor('received')
  const sink = createWriteStream(path, { highWaterMark: 1 })
  await once(sink, 'open')
  occupyThreads(40)
  a.pipe(sink)
  client.write('!')
  // It is so for 10 ms only.
  while (a.bytesRead === BULK + 10) await immediate()
  return { client, a, sink, path }
}

test.serial('a file that takes long for what the stream holds is not waited for', async (t) => {
  const buffered = tally().aside.BUFFERED ?? 0
  const { client, sink, path } = await heldBack(t)
  client.end(bytes.subarray(0, MEDIUM))
  await once(sink, 'close')
  t.is(
    sha256(readFileSync(path)),
    sha256(Buffer.concat([Buffer.from('0123456789!'), bytes.subarray(0, MEDIUM)])),
  )
  t.true((tally().aside.BUFFERED ?? 0) > buffered)
})

test.serial('who takes a socket that is held back has all that it brings', async (t) => {
  const { client, a, sink, path } = await heldBack(t)
  a.unpipe(sink)
  const closed = once(sink.end(), 'close')
  const rest = pathFor('rest')
  const moving = transfer(a, createWriteStream(rest))
  await sleep(30)
  client.end(bytes.subarray(0, MEDIUM))
  await Promise.all([moving, closed])
  t.is(
    sha256(Buffer.concat([readFileSync(path), readFileSync(rest)])),
    sha256(Buffer.concat([Buffer.from('0123456789!'), bytes.subarray(0, MEDIUM)])),
  )
})

/** Keeps all threads of Node's pool from working for so many ms: each waits for somebody to write to its FIFO. */
function occupyThreads(ms: number): void {
  const paths = Array.from({ length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) }, fifo)
  const opening = paths.map((path) => openFile(path, 'r'))
  setTimeout(() => {
    const writers = paths.map((path) => openSync(path, 'r+'))
    void Promise.all(opening).then(async (readers) => {
      for (const reader of readers) await reader.close()
      for (const writer of writers) closeSync(writer)
    })
  }, ms)
}

test.serial('a socket that is still connecting is waited for, as source and as sink', async (t) => {
  const made = scene(t)
  const [client, a] = await pair(made)
  const { port } = await listening(t)
  const b = connect(port, '127.0.0.1')
  a.pipe(b).pipe(a)
  client.end(bytes)
  t.is(sha256(await received(client)), sha256(bytes))
})

/** A server that sends back all that comes. */
async function listening(t: { teardown(end: () => void): void }): Promise<{ port: number }> {
  const { createServer } = await import('node:net')
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return server.address() as { port: number }
}

test.serial('what is encrypted Node reads and writes', async (t) => {
  const key = readFileSync(new URL('../fixtures/tls-key.pem', import.meta.url))
  const cert = readFileSync(new URL('../fixtures/tls-certificate.pem', import.meta.url))
  const made = scene(t)
  const [b, server] = await pair(made)
  const tls = createTlsServer({ key, cert }, (socket) => socket.pipe(b).pipe(socket)).listen(0, '127.0.0.1')
  await once(tls, 'listening')
  t.teardown(() => tls.close())
  const before = tally()
  const { port } = tls.address() as { port: number }
  const client = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
  server.pipe(server)
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  client.write(bytes)
  await until('all of it', () => chunks.reduce((sum, { length }) => sum + length, 0) === LARGE)
  client.end()
  t.is(sha256(Buffer.concat(chunks)), sha256(bytes))
  await until('the run', () => tally().runs > before.runs)
  // The server's echo is not encrypted.
  t.is(tally().runs, before.runs + 1)
  t.true((tally().aside.TLS ?? 0) > (before.aside.TLS ?? 0))
})

test.serial('sockets that read in their own way are left alone', async (t) => {
  const made = scene(t)
  const [[client, a], [b, server]] = [await pair(made), await pair(made)]
  const push = a.push.bind(a)
  let pushed = 0
  a.push = (chunk: Buffer | null, ...rest: []) => {
    pushed += chunk?.length ?? 0
    return push(chunk, ...rest)
  }
  const runs = tally().runs
  a.pipe(b)
  client.end(bytes)
  t.is((await received(server)).length, LARGE)
  t.deepEqual([pushed, tally().runs], [LARGE, runs])
  t.true(a instanceof Socket)
})
