// Files that are not plain files: those of /proc and /sys, FIFOs, directories, devices, terminals, blocking pipes.

import test from 'ava'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { transfer } from 'zcio'
import { run } from '../helpers/children.js'
import { content, fifo, flags, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from '../helpers/files.js'
import { bare, received, sockets } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

const { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, O_NOCTTY } = constants
const size = 300_000
const bytes = pattern(size)

/** Their size is 0, whatever they hold: fs.copyFileSync('/proc/cpuinfo') makes an empty file. */
for (const path of ['/proc/version', '/proc/self/cmdline', '/sys/devices/system/cpu/possible']) {
  test(`${path} is read to its end, whatever its size says`, async (t) => {
    if (!existsSync(path)) {
      t.pass('this machine has none')
      return
    }
    const to = sink(t)
    await transfer(opened(t, path), to)
    t.deepEqual(content(to), readFileSync(path))

    const [near, far] = await sockets(t)
    const arrived = received(far)
    await transfer(opened(t, path), near)
    t.deepEqual(await arrived, readFileSync(path))
  })
}

test('a file of /proc is written', async (t) => {
  const path = '/proc/self/comm'
  const before = readFileSync(path, 'utf8')
  const to = opened(t, path, 'r+')
  await transfer(source(t, Buffer.from('zcio-test')), to)
  t.is(readFileSync(path, 'utf8'), 'zcio-test\n')
  writeSync(to, before)
})

/** Its file closes with the process only, so Node has it forget that it was ended. */
test('stdout ends where it is a file or /dev/null', async (t) => {
  for (const path of ['/dev/null', pathFor('stdout')]) {
    for (const how of ['transfer(source, process.stdout)', 'fanOut(source, [process.stdout])']) {
      const ended = await run(
        `import { fanOut, transfer } from 'zcio'
        import { Readable } from 'node:stream'
        const source = Readable.from(['some'])
        process.exitCode = (await ${how}).bytes`,
        { before: `exec > ${path}` },
      )
      t.deepEqual(ended, { code: 4, signal: null, stdout: '', stderr: '' })
      t.is(readFileSync(path, 'utf8'), path === '/dev/null' ? '' : 'some')
    }
  }
})

test('a directory is neither a source nor a sink', async (t) => {
  const directory = opened(t, '/')
  const asSource = await failure(transfer(directory, sink(t)))
  t.like(asSource, { code: 'EISDIR', errno: -21, side: 'source', bytes: 0 })
  const asSink = await failure(transfer(source(t, bytes), directory))
  t.like(asSink, { code: 'EISDIR', errno: -21, side: 'sink', bytes: 0 })
  const asStream = await failure(transfer(createReadStream('/'), sink(t)))
  t.like(asStream, { code: 'EISDIR', side: 'source', bytes: 0 })
})

test('what is not open for it is neither', async (t) => {
  const { path } = makeFile(bytes)
  const reading = opened(t, path)
  const writing = opened(t, path, 'r+')
  const onlyWriting = opened(t, path, constants.O_WRONLY)
  t.like(await failure(transfer(writing, reading, { sinkStart: size })), {
    code: 'EBADF',
    syscall: 'write',
    side: 'sink',
    bytes: 0,
  })
  t.like(await failure(transfer(onlyWriting, sink(t))), {
    code: 'EBADF',
    syscall: 'read',
    side: 'source',
    bytes: 0,
  })
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

/** oven-sh/bun#36692, oven-sh/bun#14054. oven-sh/bun#38498: EAGAIN means to wait. */
test('a nonblocking FIFO is waited for at both ends, and read to its end', async (t) => {
  const path = fifo()
  const reader = opened(t, path, O_RDONLY | O_NONBLOCK)
  const writer = openSync(path, O_WRONLY | O_NONBLOCK)
  const to = sink(t)
  const reading = transfer(reader, to)
  // More than it holds.
  t.like(await transfer(source(t, bytes), writer), { bytes: size, mechanism: 'splice' })
  t.is(await Promise.race([reading, sleep(50, 'waits')]), 'waits', 'there may come more')
  closeSync(writer)
  t.is((await reading).bytes, size)
  t.is(sha256(content(to)), sha256(bytes))
})

test('a FIFO that Node opened blocks, so the engine opens it anew', async (t) => {
  const path = fifo()
  const to = sink(t)
  const [reading, writing] = await Promise.all([
    transfer(createReadStream(path), to),
    transfer(source(t, bytes), createWriteStream(path)),
  ])
  for (const result of [reading, writing]) {
    t.deepEqual(result, { bytes: size, mechanism: 'splice', fallbacks: [] })
  }
  t.is(sha256(content(to)), sha256(bytes))
})

for (const left of ['', 'left behind']) {
  test(`a blocking FIFO whose writers have gone already is read to its end: ${left || 'nothing'}`, async (t) => {
    const path = fifo()
    const writer = openSync(path, O_RDWR)
    const reader = opened(t, path)
    writeSync(writer, left)
    closeSync(writer)
    const to = sink(t)
    // Opened anew, it would be waited for another writer.
    t.deepEqual(await transfer(reader, to), {
      bytes: left.length,
      mechanism: 'stream',
      fallbacks: [{ mechanism: 'splice', code: 'BLOCKING' }],
    })
    t.is(String(content(to)), left)
  })
}

test('an inherited pipe, standard input and output, is spliced, and ends with the transfer', async (t) => {
  const program = `
    const { transfer } = await import('zcio')
    const { mechanism, fallbacks } = await transfer(0, 1)
    console.error(JSON.stringify([mechanism, fallbacks]))`
  const { path } = makeFile(bytes)
  const copy = pathFor('copy')
  const { code, stderr } = await run(program, { before: `cat ${path} | ( exec "$@" ) | cat > ${copy}; exit` })
  t.is(code, 0)
  t.regex(stderr, /\["splice",\[\]\]/)
  t.is(sha256(readFileSync(copy)), sha256(bytes))
})

/** golang/go#28330: the mode of the caller's descriptor was changed. */
test('a blocking pipe is opened anew, and stays blocking', async (t) => {
  const { reader, writer } = pipe(t, { readerBlocking: true, writerBlocking: true })
  const to = sink(t)
  const before = [flags(reader.fd), flags(writer.fd)]
  const reading = transfer(reader, to)
  t.like(await transfer(source(t, bytes), writer, { fallback: false }), { bytes: size, mechanism: 'splice' })
  t.deepEqual([flags(reader.fd), flags(writer.fd)], before)
  // Nothing of the engine's keeps the reader from its end.
  writer.close()
  t.like(await reading, { bytes: size, mechanism: 'splice' })
  t.is(sha256(content(to)), sha256(bytes))
  t.is(fstatSync(reader.fd).isFIFO(), true, 'it is still open')
})

test('of a blocking pipe no more is taken than was asked for', async (t) => {
  const from = pipe(t, { readerBlocking: true })
  from.writeSync(Buffer.from('0123456789'))
  const to = sink(t)
  t.is((await transfer(from.reader, to, { length: 4 })).bytes, 4)
  t.is((await transfer(from.reader, to, { length: 0 })).bytes, 0)
  t.is(from.buffered, 6)
  t.is(String(content(to)), '0123')
})

for (const mode of [0, O_NONBLOCK]) {
  test(`a ${mode ? 'nonblocking' : 'blocking'} terminal is written`, async (t) => {
    const terminal = openSync('/dev/ptmx', O_RDWR | O_NOCTTY | mode)
    t.teardown(() => {
      closeSync(terminal)
    })
    const { bytes: moved, mechanism } = await transfer(source(t, Buffer.from('zcio\n')), terminal)
    t.is(moved, 5)
    t.is(mechanism === 'stream', mode === 0)
    const echo = Buffer.alloc(20)
    // The kernel echoes when it finds the time: EAGAIN before.
    await until('there is an echo', () => {
      try {
        return readSync(terminal, echo) > 0
      } catch {
        return false
      }
    })
    t.is(echo.toString('latin1').replaceAll('\0', ''), 'zcio\r\n')
  })

  test(`a ${mode ? 'nonblocking' : 'blocking'} device is read and written`, async (t) => {
    const to = sink(t)
    t.is((await transfer(opened(t, '/dev/zero', O_RDONLY | mode), to, { length: size })).bytes, size)
    t.is(sha256(content(to)), sha256(Buffer.alloc(size)))
    t.is((await transfer(source(t, bytes), opened(t, '/dev/null', O_WRONLY | mode))).bytes, size)
  })

  test(`a ${mode ? 'nonblocking' : 'blocking'} device without space says so`, async (t) => {
    const error = await failure(transfer(source(t, bytes), opened(t, '/dev/full', O_WRONLY | mode)))
    t.like(error, { code: 'ENOSPC', errno: -28, syscall: 'write', side: 'sink', bytes: 0 })
    t.is(error.message, 'ENOSPC: no space left on device, write')
  })
}

test('sockets that carry no stream of bytes are neither', async (t) => {
  const datagrams = createSocket('udp4')
  datagrams.bind(0, '127.0.0.1')
  const server = createServer().listen(0, '127.0.0.1')
  await Promise.all([once(datagrams, 'listening'), once(server, 'listening')])
  t.teardown(() => {
    datagrams.close()
    server.close()
  })
  const handle = (datagrams as unknown as Record<symbol, { handle: object }>)[
    Object.getOwnPropertySymbols(datagrams).find(({ description }) => description === 'state symbol') ??
      Symbol.iterator
  ]
  t.truthy(handle)
  for (const [what, fd] of [
    ['a datagram', bare({ _handle: handle?.handle })],
    ['a listening socket', bare(server)],
  ] as const) {
    const asSource = await failure(transfer(fd, sink(t)))
    t.like(asSource, { code: 'ERR_ZCIO_UNSUPPORTED', side: 'source', bytes: 0 })
    t.true(asSource.message.includes(what), asSource.message)
    const asSink = await failure(transfer(source(t, bytes), fd))
    t.like(asSink, { code: 'ERR_ZCIO_UNSUPPORTED', side: 'sink', bytes: 0 })
  }
})
