// Calls that wait: for what, how long, what ends them, and what they leave behind.

import test from 'ava'
import { once } from 'node:events'
import { closeSync, constants as fs, openSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { allocPages, copyFileRange, sendfile, splice, tee, transfer, vmsplice, type Pipe } from 'zcio'
import { run, tell } from './helpers/children.js'
import { content, fifo, opened, pipe, sink, source } from './helpers/descriptors.js'
import { failure, told } from './helpers/failures.js'
import { pattern } from './helpers/files.js'
import { openDescriptors } from './helpers/processes.js'
import { bare, received, sockets } from './helpers/sockets.js'
import { until, within } from './helpers/wait.js'

/** Whether a promise is still open after everything that could settle it at once. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise((resolve) => setTimeout(resolve, 20, 'later'))
  return (await Promise.race([promise, later])) === 'later'
}

function fill(to: Pipe): void {
  to.writeSync(Buffer.alloc(to.capacity))
}

function read(from: Pipe): string {
  const buffer = Buffer.alloc(from.buffered)
  return buffer.toString('latin1', 0, from.readSync(buffer))
}

test('a call waits for its source', async (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  const moved = splice(from.reader, null, to.writer, null, 100)
  t.true(await isPending(moved))
  from.writeSync(Buffer.from('late'))
  t.is(await within('a splice', moved), 4)
  t.is(read(to), 'late')
})

test('a call waits for its sink', async (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  from.writeSync(Buffer.from('x'))
  fill(to)
  const moved = splice(from.reader, null, to.writer, null, 100)
  t.true(await isPending(moved))
  to.readSync(Buffer.alloc(to.capacity))
  t.is(await within('a splice', moved), 1)
  t.is(read(to), 'x')
})

test('a file waits for a socket with room, at its offset', async (t) => {
  const [near, far] = await sockets(t)
  const bytes = pattern(300_000)
  const from = source(t, bytes)
  let sent = 0
  while (sent < 8_000_000) {
    const call = sendfile(bare(near), from, sent % bytes.length, 100_000)
    if (await isPending(call)) {
      t.true(sent > 0)
      const rest = received(far)
      sent += await within('room', call)
      near.end()
      const got = await rest
      t.is(got.length, sent)
      t.deepEqual(got.subarray(0, 300_000), bytes)
      return
    }
    sent += await call
  }
  t.fail('a socket that nobody reads takes everything')
})

test('the end of a source is 0, also for a call that waits', async (t) => {
  const [ended, ending, to] = [pipe(t), pipe(t), pipe(t)]
  ended.writer.close()
  t.is(await splice(ended.reader, null, to.writer, null, 1), 0)
  t.is(await tee(ended.reader, to.writer, 1), 0)
  const call = splice(ending.reader, null, to.writer, null, 1)
  t.true(await isPending(call))
  ending.writer.close()
  t.is(await within('the end', call), 0)
})

test('no length is no wait', async (t) => {
  t.is(await splice(pipe(t).reader, null, pipe(t).writer, null, 0), 0)
})

test('a FIFO that nobody has opened for writing yet is not at its end', async (t) => {
  const path = fifo()
  const from = opened(t, path, fs.O_RDONLY | fs.O_NONBLOCK)
  const to = pipe(t)
  const call = splice(from, null, to.writer, null, 100)
  t.true(await isPending(call))
  writeSync(opened(t, path, fs.O_WRONLY), 'first')
  t.is(await within('the first writer', call), 5)
})

test('closing an end of a Pipe rejects what waits on it, by whatever name it was given', async (t) => {
  const [a, b, c, full] = [pipe(t), pipe(t), pipe(t), pipe(t)]
  fill(full)
  c.writeSync(Buffer.from('x'))
  const calls = [
    splice(a.reader, null, pipe(t).writer, null, 1),
    splice(b.reader.fd, null, pipe(t).writer, null, 1),
    splice(c.reader, null, full.writer, null, 1),
  ]
  for (const call of calls) t.true(await isPending(call))
  a.close()
  b.reader.close()
  full.close()
  for (const call of calls) {
    t.deepEqual(told(await failure(call)), {
      code: 'ECANCELED',
      errno: -125,
      syscall: 'splice',
      message: 'ECANCELED: operation canceled, splice',
    })
  }
  t.is(c.buffered, 1, 'what was not moved is still there')
})

test('what is not a Pipe may be closed: the call has a descriptor of its own', async (t) => {
  const path = fifo()
  const from = openSync(path, fs.O_RDONLY | fs.O_NONBLOCK)
  const to = pipe(t)
  const call = splice(from, null, to.writer, null, 100)
  t.true(await isPending(call))
  closeSync(from)
  writeSync(opened(t, path, fs.O_WRONLY), 'still')
  t.is(await within('a splice', call), 5)
})

test('one call at a time in one direction of a pipe or socket, so that none overtakes', async (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  const first = splice(from.reader, null, to.writer, null, 100)
  for (const second of [
    () => splice(from.reader, null, pipe(t).writer, null, 1),
    () => splice(from.reader.fd, null, sink(t), null, 1),
    () => tee(from.reader, pipe(t).writer, 1),
    () => sendfile(to.writer, source(t, 1), 0, 1),
    () => vmsplice(from.reader, allocPages(1)),
    () => vmsplice(to.writer, allocPages(1)),
    () => vmsplice(to.writer, allocPages(1), { keep: true }),
  ]) {
    const error = await failure(second())
    t.is(error.code, 'ERR_ZCIO_BUSY')
    t.regex(error.message, /await it first/)
  }
  t.is(to.buffered, 0)
  from.writeSync(Buffer.from('first'))
  t.is(await first, 5)
  from.writeSync(Buffer.from('second'))
  t.is(await splice(from.reader, null, to.writer, null, 100), 6)
  t.is(read(to), 'firstsecond')
})

test('a call does not take from a transfer', async (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  const moved = transfer(from.reader, to.writer)
  from.writeSync(Buffer.from('x'))
  await until('the first byte', () => to.buffered === 1)
  t.is((await failure(splice(from.reader, null, pipe(t).writer, null, 1))).code, 'ERR_ZCIO_BUSY')
  from.writer.close()
  t.is((await moved).bytes, 1)
})

test('a descriptor that would wait in the kernel is refused, with what would do', async (t) => {
  const path = fifo()
  const reader = opened(t, path, fs.O_RDONLY | fs.O_NONBLOCK)
  const [blocking, null_] = [opened(t, path, fs.O_WRONLY), opened(t, '/dev/null', fs.O_WRONLY)]
  const [full, file] = [pipe(t), source(t, pattern(10))]
  full.writeSync(Buffer.from('x'))
  for (const [call, argument] of [
    [() => sendfile(blocking, file, 0, 1), 'sink'],
    [() => sendfile({ fd: blocking }, file, null, 1), 'sink'],
    [() => splice(full.reader, null, null_, null, 1), 'sink'],
    [() => splice(opened(t, '/dev/zero', fs.O_RDONLY), null, full.writer, null, 1), 'source'],
  ] as const) {
    const error = await failure(call())
    t.is(error.code, 'ERR_ZCIO_UNSUPPORTED')
    t.true(error.message.startsWith(`The "${argument}" argument must be nonblocking`), error.message)
    t.regex(error.message, /Pipe.*O_NONBLOCK.*transfer/)
  }
  t.is(full.buffered, 1)
  t.is(await splice(reader, null, full.writer, null, 0), 0)
})

test('pipes are never waited for in the kernel, whatever their mode', async (t) => {
  const from = pipe(t, { readerBlocking: true, writerBlocking: true })
  const to = pipe(t, { readerBlocking: true, writerBlocking: true })
  const calls = {
    splice: () => splice(from.reader, null, to.writer, null, 9),
    tee: () => tee(from.reader, to.writer, 9),
  }
  for (const [name, call] of Object.entries(calls)) {
    const moved = call()
    t.true(await isPending(moved), name)
    from.writeSync(Buffer.from('x'))
    t.is(await within(name, moved), 1)
  }
  t.is(read(to), 'xx')
})

test('datagrams are refused by name', async (t) => {
  const code = `
    import { Pipe, splice } from 'zcio'
    import { createSocket } from 'node:dgram'
    import { once } from 'node:events'
    import { readdirSync, statSync } from 'node:fs'
    // Where Node keeps the descriptor differs: it is the one that is a socket now, and was not before.
    const sockets = () => readdirSync('/proc/self/fd')
      .filter((fd) => statSync('/proc/self/fd/' + fd, { throwIfNoEntry: false })?.isSocket())
    const before = sockets()
    const socket = createSocket('udp4').bind(0)
    await once(socket, 'listening')
    const fd = sockets().find((fd) => !before.includes(fd))
    const { code, message } = await splice(Number(fd), null, new Pipe().writer, null, 1).catch((error) => error)
    socket.close()
    console.log(JSON.stringify({ code, message }))`
  const { code: name, message } = (await tell(code)) as { code: string; message: string }
  t.is(name, 'ERR_ZCIO_UNSUPPORTED')
  t.regex(message, /^The "source" argument must be .*, not a datagram/)
})

test('a call that is ready needs no thread of ours', async (t) => {
  const names = await tell(`
    import { Pipe, splice, tee, vmsplice, allocPages } from 'zcio'
    import { readdirSync, readFileSync } from 'node:fs'
    const [a, b] = [new Pipe(), new Pipe()]
    await vmsplice(a.writer, allocPages(5000))
    await tee(a.reader, b.writer, 4096)
    await splice(a.reader, null, b.writer, null, 4096)
    await vmsplice(b.reader, allocPages(100))
    const names = readdirSync('/proc/self/task').map((task) =>
      readFileSync('/proc/self/task/' + task + '/comm', 'utf8').trim())
    a.close()
    b.close()
    console.log(JSON.stringify(names.filter((name) => name.startsWith('zcio'))))`)
  t.deepEqual(names, [])
})

test('a process lives until its last call has ended, and then ends', async (t) => {
  const { code, stdout } = await run(`
    import { Pipe, splice } from 'zcio'
    const [from, to] = [new Pipe(), new Pipe()]
    splice(from.reader, null, to.writer, null, 10).then((bytes) => { console.log(bytes) })
    setTimeout(() => from.writeSync(Buffer.from('hello')), 200).unref()`)
  t.deepEqual({ code, stdout }, { code: 0, stdout: '5\n' })
})

/** Node ignores SIGPIPE only until somebody listens to it, and no longer. */
test('a reader that goes while a call waits is an error and never a signal', async (t) => {
  const { code, stdout, stderr } = await run(`
    import { Pipe, allocPages, sendfile, splice, tee, vmsplice } from 'zcio'
    import { openSync } from 'node:fs'
    let signals = 0
    const listener = () => { signals += 1 }
    const source = openSync(process.execPath)
    const codes = []
    const all = async () => {
      for (const call of [
        (to, from) => sendfile(to.writer, source, 0, 1),
        (to, from) => splice(from.reader, null, to.writer, null, 1),
        (to, from) => tee(from.reader, to.writer, 1),
        (to) => vmsplice(to.writer, allocPages(1)),
        (to) => vmsplice(to.writer, allocPages(1), { keep: true }),
      ]) {
        for (const early of [true, false]) {
          const [from, to] = [new Pipe(), new Pipe()]
          from.writeSync(Buffer.from('x'))
          if (early) to.reader.close()
          else to.writeSync(Buffer.alloc(to.capacity))
          const failed = call(to, from).catch(({ code, bytes }) => codes.push(code + bytes))
          await new Promise(setImmediate)
          to.reader.close()
          await failed
          from.close()
          to.close()
        }
      }
    }
    await all()
    process.on('SIGPIPE', listener)
    await all()
    process.off('SIGPIPE', listener)
    await all()
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(JSON.stringify({ signals, codes }))`)
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), { signals: 0, codes: Array.from({ length: 30 }, () => 'EPIPE0') })
})

test.serial(
  'a thousand calls that wait leave no descriptor, whether they are served or cancelled',
  async (t) => {
    const counts = await tell(
      `
    import { Pipe, splice } from 'zcio'
    import { constants, openSync, readdirSync } from 'node:fs'
    const count = () => readdirSync('/proc/self/fd').length
    const sink = openSync('/dev/null', constants.O_WRONLY | constants.O_NONBLOCK)
    const round = async (settle) => {
      const pipes = Array.from({ length: 1000 }, () => new Pipe())
      const opened = count()
      const calls = pipes.map(({ reader }) => splice(reader, null, sink, null, 10).catch(({ code }) => code))
      const most = count() - opened
      pipes.forEach(settle)
      const results = new Set(await Promise.all(calls))
      for (const pipe of pipes) pipe.close()
      return [most, ...results]
    }
    await round((pipe) => pipe.writer.close())
    const before = count()
    const told = [
      await round((pipe) => pipe.writeSync(Buffer.from('x'))),
      await round((pipe) => pipe.close()),
      await round((pipe) => pipe.writer.close()),
    ]
    console.log(JSON.stringify([told, count() - before]))`,
      { before: 'ulimit -n 5000' },
    )
    t.deepEqual(counts, [
      [
        [2000, 1],
        [2000, 'ECANCELED'],
        [2000, 0],
      ],
      0,
    ])
  },
)

test.serial(
  'a worker that is terminated leaves no call, no descriptor, and its pipes are closed',
  async (t) => {
    const before = openDescriptors().length
    const worker = new Worker(
      `
    const { parentPort } = require('node:worker_threads')
    import('zcio').then(({ Pipe, splice, vmsplice, allocPages }) => {
      const pipes = [new Pipe(), new Pipe(), new Pipe()]
      splice(pipes[0].reader, null, pipes[1].writer, null, 10)
      vmsplice(pipes[2].writer, allocPages(1 << 20))
      parentPort.postMessage('waiting')
    })`,
      { eval: true },
    )
    await within('a worker', once(worker, 'message'))
    t.true(openDescriptors().length > before + 6)
    await worker.terminate()
    await until('its descriptors to go', () => openDescriptors().length <= before + 4)
    t.pass('what is left is the reactor')
  },
)

test('with no descriptors left a call that must wait says so', async (t) => {
  const told = await tell(
    `
    import { Pipe, splice } from 'zcio'
    const [from, to] = [new Pipe(), new Pipe()]
    await splice(new Pipe().reader, null, to.writer, null, 0)
    const pipes = []
    try { for (;;) pipes.push(new Pipe()) } catch {}
    const { code, syscall } = await splice(from.reader, null, to.writer, null, 1).catch((error) => error)
    for (const pipe of pipes) pipe.close()
    from.writeSync(Buffer.from('x'))
    console.log(JSON.stringify([code, syscall, await splice(from.reader, null, to.writer, null, 1)]))`,
    { before: 'ulimit -n 100' },
  )
  const [code, , moved] = told as unknown[]
  t.true(['EMFILE', 'ENFILE'].includes(code as string), JSON.stringify(told))
  t.is(moved, 1)
})

test('files are never busy', async (t) => {
  const [from, to] = [source(t, pattern(10)), sink(t)]
  const calls = Array.from({ length: 10 }, (_, at) => copyFileRange(from, at, to, at, 1))
  t.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 10 }, () => 1),
  )
  t.deepEqual(content(to), pattern(10))
})
