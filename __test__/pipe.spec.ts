// A pipe of our own: its ends, its capacity, and as what children read and write.

import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, fstatSync, readFileSync, readSync } from 'node:fs'
import { inspect } from 'node:util'
import { Pipe, allocPages, capabilities, sendfile, splice, transfer, vmsplice, type PipeOptions } from 'zcio'
import { run, tell } from './helpers/children.js'
import { flags, pipe, sink, source } from './helpers/descriptors.js'
import { failure, thrown, told } from './helpers/failures.js'
import { pathFor, pattern, sha256 } from './helpers/files.js'
import { openDescriptors } from './helpers/processes.js'
import { within } from './helpers/wait.js'

const { O_NONBLOCK } = constants
/** Node has no name for it. */
const O_CLOEXEC = 0o2000000

test('what is written comes out', (t) => {
  const between = pipe(t)
  t.is(between.writeSync(Buffer.from('hello ')), 6)
  t.is(between.writeSync(new Uint8Array([119, 111, 114, 108, 100])), 5)
  t.is(between.buffered, 11)
  const read = Buffer.alloc(20)
  t.is(between.readSync(read.subarray(5, 10)), 5)
  t.is(between.readSync(read.subarray(10)), 6)
  t.is(read.toString('latin1', 5, 16), 'hello world')
  t.is(between.buffered, 0)
})

test('an empty pipe is EAGAIN, one without writers is at its end, one without readers EPIPE', (t) => {
  const [ended, broken] = [pipe(t), pipe(t)]
  t.deepEqual(told(thrown(() => ended.readSync(Buffer.alloc(1)))), {
    code: 'EAGAIN',
    errno: -11,
    syscall: 'read',
    message: 'EAGAIN: resource temporarily unavailable, read',
  })
  ended.writeSync(Buffer.from('x'))
  ended.writer.close()
  t.is(ended.readSync(Buffer.alloc(10)), 1)
  t.is(ended.readSync(Buffer.alloc(10)), 0)
  broken.reader.close()
  t.like(
    thrown(() => broken.writeSync(Buffer.from('x'))),
    { code: 'EPIPE', errno: -32, syscall: 'write' },
  )
})

test('a full pipe takes a part, and then is EAGAIN', (t) => {
  const between = pipe(t)
  t.is(between.writeSync(Buffer.alloc(between.capacity + 1)), between.capacity)
  t.is(between.buffered, between.capacity)
  t.like(
    thrown(() => between.writeSync(Buffer.from('x'))),
    { code: 'EAGAIN', syscall: 'write' },
  )
})

test('no bytes are no bytes', (t) => {
  const between = pipe(t)
  t.is(between.writeSync(Buffer.alloc(0)), 0)
  between.writeSync(Buffer.from('x'))
  t.is(between.readSync(Buffer.alloc(0)), 0)
})

test('both ends are nonblocking and close-on-exec, unless asked otherwise', (t) => {
  for (const [options, reader, writer] of [
    [undefined, true, true],
    [{}, true, true],
    [{ readerBlocking: true }, false, true],
    [{ writerBlocking: true }, true, false],
    [{ readerBlocking: true, writerBlocking: true }, false, false],
    [{ readerBlocking: false }, true, true],
  ] as const) {
    const made = pipe(t, options)
    t.deepEqual(
      [made.reader, made.writer].map(({ fd }) => (flags(fd) & O_NONBLOCK) !== 0),
      [reader, writer],
    )
    for (const { fd } of [made.reader, made.writer]) t.true((flags(fd) & O_CLOEXEC) !== 0)
  }
})

test('capacity is rounded up to a power of two of pages, and can be changed', (t) => {
  const made = pipe(t, { capacity: 65_537 })
  t.is(made.capacity, 131_072)
  for (const [asked, expected] of [
    [0, 4096],
    [1, 4096],
    [4097, 8192],
    [100_000, 131_072],
  ] as const) {
    const got = made.setCapacity(asked)
    // Pages may be larger than 4 KiB.
    t.true(got >= expected && Number.isInteger(Math.log2(got)), `${asked}: ${got}`)
    t.is(made.capacity, got)
  }
})

test('capacity cannot become less than what is in the pipe', (t) => {
  const made = pipe(t)
  made.writeSync(Buffer.alloc(40_000))
  t.deepEqual(told(thrown(() => made.setCapacity(4096))), {
    code: 'EBUSY',
    errno: -16,
    syscall: 'fcntl',
    message: 'EBUSY: resource busy or locked, fcntl',
  })
  t.is(made.buffered, 40_000)
})

test.serial('capacity past the limits of the user is EPERM, and leaves nothing open', (t) => {
  const { pipeMaxSize = 0 } = capabilities()
  const before = openDescriptors().length
  try {
    pipe(t, { capacity: pipeMaxSize * 2 })
    t.pass('this user has no limits')
  } catch (error) {
    t.like(error, { code: 'EPERM', syscall: 'fcntl' })
    t.is(openDescriptors().length, before)
  }
})

test('a closed end has no descriptor, the other lives on, and closing again does nothing', (t) => {
  const made = new Pipe()
  const { fd } = made.reader
  made.reader.close()
  made.reader.close()
  t.is(made.reader.fd, -1)
  t.throws(() => fstatSync(fd), { code: 'EBADF' })
  t.true(made.capacity > 0, 'either end will do')
  t.is(made.buffered, 0)
  made.close()
  made.close()
  t.is(made.writer.fd, -1)
  for (const [call, syscall] of [
    [() => made.capacity, 'fcntl'],
    [() => made.setCapacity(1), 'fcntl'],
    [() => made.buffered, 'ioctl'],
    [() => made.readSync(Buffer.alloc(1)), 'read'],
    [() => made.writeSync(Buffer.alloc(1)), 'write'],
  ] as const) {
    t.deepEqual(told(thrown(call)), {
      code: 'EBADF',
      errno: -9,
      syscall,
      message: `EBADF: bad file descriptor, ${syscall}`,
    })
  }
})

test('a closed end is refused by name', async (t) => {
  const made = new Pipe()
  made.close()
  const error = await failure(transfer(made.reader, sink(t)))
  t.is(error.code, 'ERR_OUT_OF_RANGE')
  t.regex(error.message, /^The value of "source\.fd" is out of range/)
})

/** With `using` it is closed at the end of its block; this is what that calls. */
test('it can be disposed of', (t) => {
  const made = new Pipe()
  made[Symbol.dispose]()
  t.deepEqual([made.reader.fd, made.writer.fd], [-1, -1])
})

test('it shows what it is', (t) => {
  const made = pipe(t)
  const ends = `reader: ${made.reader.fd}, writer: ${made.writer.fd}`
  t.is(inspect(made), `Pipe { ${ends}, capacity: ${made.capacity}, buffered: 0 }`)
  t.is(inspect([made.reader]), `[ PipeEnd { fd: ${made.reader.fd} } ]`)
  made.writer.close()
  t.is(
    inspect(made),
    `Pipe { reader: ${made.reader.fd}, writer: 'closed', capacity: ${made.capacity}, buffered: 0 }`,
  )
  t.is(inspect(made.writer), 'PipeEnd { closed }')
  made.close()
  t.is(inspect(made), "Pipe { reader: 'closed', writer: 'closed' }")
})

test.serial('bad input is refused by name, and opens nothing', (t) => {
  const before = openDescriptors().length
  for (const [options, name, type] of [
    [{ capacity: '1' }, 'options.capacity', TypeError],
    [{ capacity: -1 }, 'options.capacity', RangeError],
    [{ capacity: 0.5 }, 'options.capacity', RangeError],
    [{ capacity: NaN }, 'options.capacity', RangeError],
    [{ capacity: 2 ** 31 + 1 }, 'options.capacity', RangeError],
    [{ capacity: 1n }, 'options.capacity', TypeError],
    [{ readerBlocking: 1 }, 'options.readerBlocking', TypeError],
    [{ writerBlocking: null }, 'options.writerBlocking', TypeError],
    [{ size: 1 }, 'options.size', TypeError],
    [null, 'options', TypeError],
  ] as const) {
    const error = thrown(() => new Pipe(options as unknown as PipeOptions))
    t.true(error instanceof type)
    t.true(error.message.includes(`"${name}"`), error.message)
  }
  const made = pipe(t)
  for (const bytes of ['text', null, [1], new ArrayBuffer(1), 1]) {
    for (const call of [() => made.readSync(bytes as never), () => made.writeSync(bytes as never)]) {
      const error = thrown(call)
      t.true(error instanceof TypeError)
      t.regex(error.message, /^The "buffer" argument must be a Buffer or Uint8Array\. Received /)
    }
  }
  t.throws(() => made.setCapacity('1' as never), { code: 'ERR_INVALID_ARG_TYPE', message: /"bytes"/ })
  t.is(openDescriptors().length, before + 2)
})

/** What a shell's tools expect: EAGAIN would be an error to them. */
test('a child reads and writes blocking ends', async (t) => {
  const [input, output] = [new Pipe({ readerBlocking: true }), new Pipe({ writerBlocking: true })]
  const child = spawn('cat', { stdio: [input.reader.fd, output.writer.fd, 'inherit'] })
  input.reader.close()
  output.writer.close()
  const bytes = pattern(1_000_000)
  const to = sink(t)
  const exit = once(child, 'exit')
  const [sent, got] = await within(
    'cat',
    Promise.all([
      transfer(source(t, bytes), input.writer).finally(() => {
        input.writer.close()
      }),
      transfer(output.reader, to),
    ]),
  )
  t.deepEqual([sent.bytes, got.bytes], [bytes.length, bytes.length])
  t.is(sha256(readFileSync(`/proc/self/fd/${to}`)), sha256(bytes))
  t.deepEqual(await exit, [0, null])
  output.close()
})

test('a child of Node reads and writes nonblocking ends', async (t) => {
  const [input, output] = [new Pipe(), new Pipe()]
  const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'], {
    // The types do not know that it takes any object with an fd.
    stdio: [input.reader, output.writer, 'inherit'] as unknown as number[],
  })
  input.reader.close()
  output.writer.close()
  const bytes = pattern(300_000)
  const to = sink(t)
  const moved = await within(
    'a child',
    Promise.all([
      transfer(source(t, bytes), input.writer).finally(() => {
        input.writer.close()
      }),
      transfer(output.reader, to),
      once(child, 'exit'),
    ]),
  )
  t.is(moved[1].bytes, bytes.length)
  t.is(sha256(readFileSync(`/proc/self/fd/${to}`)), sha256(bytes))
  output.close()
})

test('a child that inherits nothing holds nothing open', async (t) => {
  const made = pipe(t)
  const child = spawn('sleep', ['10'], { stdio: 'ignore' })
  await once(child, 'spawn')
  made.writeSync(Buffer.from('x'))
  made.writer.close()
  t.is(made.readSync(Buffer.alloc(10)), 1)
  t.is(made.readSync(Buffer.alloc(10)), 0, 'the end, since nobody else has the writer')
  child.kill()
})

test('many pipes are made and closed, and none stays', async (t) => {
  const left = await tell(`
    import { Pipe } from 'zcio'
    import { readdirSync } from 'node:fs'
    const count = () => readdirSync('/proc/self/fd').length
    new Pipe().close()
    const before = count()
    for (let i = 0; i < 2000; i += 1) new Pipe({ capacity: 4096 }).close()
    console.log(count() - before)`)
  t.is(left, 0)
})

test('with no descriptors left it says so', async (t) => {
  const told = await tell(
    `
    import { Pipe, transfer } from 'zcio'
    import { openSync } from 'node:fs'
    const [source, sink] = [openSync(process.execPath), openSync('/dev/null', 'w')]
    new Pipe().close()
    const pipes = []
    const told = []
    try { for (;;) pipes.push(new Pipe()) } catch ({ code, syscall }) { told.push({ code, syscall }) }
    await transfer(source, sink, { length: 10 }).then(({ mechanism, bytes }) => told.push({ mechanism, bytes }))
    for (const pipe of pipes) pipe.close()
    const { bytes } = await transfer(source, sink, { length: 10 })
    told.push(bytes)
    console.log(JSON.stringify(told))`,
    { before: 'ulimit -n 100' },
  )
  t.like(told, [{ code: 'EMFILE', syscall: 'pipe2' }, { mechanism: 'stream', bytes: 10 }, 10])
})

test('its ends are what other libraries can use', (t) => {
  const made = new Pipe()
  made.writeSync(Buffer.from('hello'))
  const read = Buffer.alloc(10)
  t.is(readSync(made.reader.fd, read), 5)
  made.close()
})

test('tools of the shell are plumbed together by blocking ends, and only they hold them', async (t) => {
  const path = pathFor('copy')
  const [input, between, output] = [
    new Pipe({ readerBlocking: true }),
    new Pipe({ readerBlocking: true, writerBlocking: true }),
    new Pipe({ writerBlocking: true }),
  ]
  const children = [
    spawn('tee', [path], { stdio: [input.reader.fd, between.writer.fd, 'inherit'] }),
    spawn('sha256sum', { stdio: [between.reader.fd, output.writer.fd, 'inherit'] }),
  ]
  const exits = children.map((child) => once(child, 'exit'))
  input.reader.close()
  between.close()
  output.writer.close()
  const bytes = pattern(1_000_000)
  const from = source(t, bytes)
  for (let sent = 0; sent < bytes.length;) {
    sent += await within('tee', sendfile(input.writer, from, sent, bytes.length - sent))
  }
  input.writer.close()
  const line = allocPages(100)
  const length = await within('sha256sum', vmsplice(output.reader, line))
  t.is(line.toString('latin1', 0, length), `${sha256(bytes)}  -\n`)
  t.is(await within('the end', vmsplice(output.reader, line)), 0)
  t.deepEqual(await Promise.all(exits), [
    [0, null],
    [0, null],
  ])
  t.is(sha256(readFileSync(path)), sha256(bytes))
  output.close()
})

test('a child of Node is fed and read call by call through nonblocking ends', async (t) => {
  const [input, output] = [new Pipe(), new Pipe()]
  const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'], {
    stdio: [input.reader.fd, output.writer.fd, 'inherit'],
  })
  const exit = once(child, 'exit')
  input.reader.close()
  output.writer.close()
  const bytes = pattern(200_000)
  const [from, to] = [source(t, bytes), sink(t)]
  const feed = async (): Promise<void> => {
    for (let sent = 0; sent < bytes.length;) {
      sent += await splice(from, sent, input.writer, null, bytes.length - sent)
    }
    input.writer.close()
  }
  const collect = async (): Promise<number> => {
    let got = 0
    for (;;) {
      const moved = await splice(output.reader, null, to, got, 1 << 20)
      if (moved === 0) return got
      got += moved
    }
  }
  const [, got] = await within('a child', Promise.all([feed(), collect()]))
  t.is(got, bytes.length)
  t.is(sha256(readFileSync(`/proc/self/fd/${to}`)), sha256(bytes))
  t.deepEqual(await exit, [0, null])
  output.close()
})

/** What the child that imports it needs to see the collector at work. */
const collector = `
  import { Pipe, splice } from 'zcio'
  import { readdirSync, readlinkSync } from 'node:fs'
  const leads = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd) } catch { return '' } }
  const count = () => readdirSync('/proc/self/fd').filter((fd) => leads(fd).startsWith('pipe:')).length
  const warnings = []
  process.on('warning', ({ code, message, detail }) => warnings.push({ code, message, detail }))
  const settle = async () => { for (let i = 0; i < 10; i += 1) { gc(); await new Promise(setImmediate) } }
  const before = count()`

test('a pipe that is forgotten is closed, with one warning that names the remedy', async (t) => {
  const { stdout, stderr } = await run(
    `${collector}
    const forget = () => { new Pipe(); new Pipe().reader.close() }
    forget()
    const opened = count() - before
    await settle()
    console.log(JSON.stringify([opened, count() - before, warnings]))`,
    { options: ['--expose-gc'] },
  )
  const [opened, left, warnings] = JSON.parse(stdout) as [number, number, Record<string, string>[]]
  t.deepEqual([opened, left, warnings.length], [3, 0, 2])
  for (const { code, message, detail } of warnings) {
    t.is(code, 'ZCIO_PIPE_COLLECTED')
    t.regex(message ?? '', /^A Pipe was collected as garbage while its descriptor \d+ was open$/)
    t.regex(detail ?? '', /close\(\)/)
  }
  t.regex(stderr, /ZCIO_PIPE_COLLECTED/)
})

test('a pipe that was closed, or is in use, is not warned about', async (t) => {
  const told = await tell(
    `${collector}
    const close = () => { new Pipe().close(); const { reader, writer } = new Pipe(); reader.close(); writer.close() }
    close()
    const to = new Pipe()
    const wait = () => {
      const { reader, writer } = new Pipe()
      setTimeout(() => { writer.close() }, 100)
      return splice(reader, null, to.writer, null, 10).finally(() => { reader.close() })
    }
    const waiting = wait()
    await settle()
    const moved = await waiting
    to.close()
    await settle()
    console.log(JSON.stringify([moved, count() - before, warnings]))`,
    { options: ['--expose-gc'] },
  )
  t.deepEqual(told, [0, 0, []])
})
