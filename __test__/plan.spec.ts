// What a plan says is what the transfer then does, between ends of every kind.

import test, { type ExecutionContext } from 'ava'
import {
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  openSync,
  writeSync,
} from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'
import { configure, plan, transfer, type Mechanism, type Sink, type Source, type TransferOptions } from 'zcio'
import { fifo, opened, pipe, sink, source } from './helpers/descriptors.js'
import { thrown } from './helpers/failures.js'
import { makeFile, memory, pathFor, pattern } from './helpers/files.js'
import { bare, sockets } from './helpers/sockets.js'
import { tlsSockets } from './helpers/tls.js'
import { outcome } from './helpers/wait.js'

const { O_NONBLOCK, O_NOCTTY, O_RDONLY, O_RDWR, O_WRONLY } = constants
/** Few enough to fit every buffer, so that nobody has to read what arrives. */
const bytes = pattern(100)
const file = makeFile(bytes)
const ORDER: Mechanism[] = ['reflink', 'copy_file_range', 'sendfile', 'splice', 'read_write', 'stream']

interface Made<End> {
  end: End
  options?: TransferOptions
}
type Make<End> = (t: ExecutionContext) => Made<End> | Promise<Made<End>>

/** Each with a hundred bytes and an end. */
const sources = {
  'a file': (t) => ({ end: source(t, bytes) }),
  'a file from a byte on': (t) => ({ end: source(t, bytes), options: { start: 1 } }),
  'a file in memory': (t) => ({ end: source(t, bytes, memory()) }),
  'a file of /proc': (t) => ({ end: opened(t, '/proc/self/cmdline') }),
  'a ReadStream': () => ({ end: createReadStream(file.path) }),
  'a range of a ReadStream': () => ({ end: createReadStream(file.path, { start: 3, end: 50 }) }),
  'a ReadStream that flows': () => ({ end: createReadStream(file.path).pause() }),
  'a ReadStream that decodes': () => ({ end: createReadStream(file.path, 'latin1') }),
  'a ReadStream of a device': () => ({ end: createReadStream('/dev/null') }),
  'a pipe': (t) => ({ end: filled(pipe(t)) }),
  'a blocking pipe': (t) => ({ end: filled(pipe(t, { readerBlocking: true })) }),
  'a FIFO': (t) => {
    const path = fifo()
    const end = opened(t, path, O_RDONLY | O_NONBLOCK)
    const writer = openSync(path, O_WRONLY | O_NONBLOCK)
    writeSync(writer, bytes)
    closeSync(writer)
    return { end }
  },
  'a TCP socket by its number': async (t) => ({ end: bare(await readable(t, 'tcp')) }),
  'a unix socket by its number': async (t) => ({ end: bare(await readable(t, 'unix')) }),
  'a net.Socket': async (t) => ({ end: await readable(t, 'tcp') }),
  'a TLS socket': async (t) => {
    const [near, far] = await tlsSockets(t)
    near.end(bytes)
    return { end: far }
  },
  'a device': (t) => ({ end: opened(t, '/dev/zero', O_RDONLY | O_NONBLOCK), options: { length: 100 } }),
  'an empty device': (t) => ({ end: opened(t, '/dev/null', O_RDONLY | O_NONBLOCK) }),
  'a Readable': () => ({ end: Readable.from([bytes]) }),
} satisfies Record<string, Make<Source>>

const sinks = {
  'a file': (t) => ({ end: sink(t) }),
  'a file from a byte on': (t) => ({ end: sink(t), options: { sinkStart: 1 } }),
  'a file in memory': (t) => ({ end: sink(t, memory()) }),
  'an appended file': (t) => ({ end: opened(t, makeFile(7).path, 'a') }),
  'a WriteStream of a new file': () => ({ end: createWriteStream(pathFor('sink')) }),
  'a WriteStream of an old file': () => ({ end: createWriteStream(makeFile(7).path) }),
  'a WriteStream that appends': () => ({ end: createWriteStream(makeFile(7).path, { flags: 'a' }) }),
  'a WriteStream into the middle': () => ({
    end: createWriteStream(makeFile(700).path, { flags: 'r+', start: 7 }),
  }),
  'a WriteStream of a device': () => ({ end: createWriteStream('/dev/null') }),
  'a pipe': (t) => ({ end: pipe(t).writer }),
  'a blocking pipe': (t) => ({ end: pipe(t, { writerBlocking: true }).writer }),
  'a FIFO': (t) => {
    const path = fifo()
    opened(t, path, O_RDONLY | O_NONBLOCK)
    return { end: opened(t, path, O_WRONLY | O_NONBLOCK) }
  },
  'a net.Socket': async (t) => ({ end: await writable(t, 'tcp') }),
  'a unix net.Socket': async (t) => ({ end: await writable(t, 'unix') }),
  'a unix socket by its number': async (t) => ({ end: bare(await writable(t, 'unix')) }),
  'a corked socket': async (t) => {
    const socket = await writable(t, 'tcp')
    socket.cork()
    // The transfer steps aside, and what Node then writes waits for this.
    const timer = setInterval(() => {
      if (socket.writableLength > 0) socket.uncork()
    }, 10)
    t.teardown(() => {
      clearInterval(timer)
    })
    return { end: socket }
  },
  'a TLS socket': async (t) => {
    const [near, far] = await tlsSockets(t)
    far.resume()
    return { end: near }
  },
  'a device': (t) => ({ end: opened(t, '/dev/null', O_WRONLY | O_NONBLOCK) }),
  'a blocking device': (t) => ({ end: opened(t, '/dev/null', O_WRONLY) }),
  'a terminal': (t) => ({ end: opened(t, '/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK) }),
  'a Writable': () => ({
    end: new Writable({
      write: (_chunk, _encoding, done) => {
        done()
      },
    }),
  }),
} satisfies Record<string, Make<Sink>>

for (const [what, from] of Object.entries(sources)) {
  test(`from ${what} to anything, what was planned is what happens`, async (t) => {
    for (const [where, to] of Object.entries(sinks)) await agrees(t, `to ${where}`, from, to)
  })
}

const wishes: Record<string, TransferOptions> = {
  'as a snapshot': { snapshot: true },
  'with mechanisms switched off': { disable: ['reflink', 'sendfile', 'splice'] },
  'without a copy': { fallback: false },
  'without anything': { fallback: false, disable: ['reflink', 'copy_file_range', 'sendfile', 'splice'] },
}

for (const [what, wish] of Object.entries(wishes)) {
  test(`${what}, the plan is still what happens`, async (t) => {
    for (const [name, from] of Object.entries(sources)) {
      if (name.includes('device')) continue
      for (const where of ['a file', 'an appended file', 'a net.Socket', 'a pipe', 'a Writable'] as const)
        await agrees(t, `from ${name} to ${where}`, from, sinks[where], wish)
    }
  })
}

test.serial('what is switched off on a file system is planned around', async (t) => {
  t.teardown(() => {
    configure({ disable: [] })
  })
  configure({
    disable: [
      { mechanism: 'sendfile', fileSystem: 'tmpfs' },
      { mechanism: 'copy_file_range', fileSystem: 'tmpfs' },
    ],
  })
  const from = sources['a file in memory']
  for (const where of ['a file', 'a file in memory', 'a net.Socket', 'a device'] as const)
    await agrees(t, where, from, sinks[where])
  const unopened = plan(createReadStream(makeFile(bytes, 'file', memory()).path), sink(t))
  t.is(unopened.refused.filter(({ code }) => code === 'SWITCHED_OFF').length, memory() === '/dev/shm' ? 2 : 0)
})

test('a plan says in words what it depends on', (t) => {
  const toFile = plan(source(t, bytes), sink(t))
  t.deepEqual(toFile.refused, [])
  t.is(toFile.mechanisms[0]?.mechanism, 'reflink')
  t.regex(toFile.mechanisms[0]?.reason ?? '', /file system can \(btrfs, xfs\)/)
  const across = plan(source(t, bytes), sink(t, memory()))
  if (memory() === '/dev/shm') t.regex(across.mechanisms[1]?.reason ?? '', /different devices.*EXDEV/)
  const appended = plan(source(t, bytes), opened(t, file.path, 'a'))
  t.deepEqual(appended.refused[0], {
    mechanism: 'reflink',
    code: 'O_APPEND',
    reason: 'the kernel refuses a sink opened with O_APPEND',
  })
  t.is(appended.mechanisms.length, 1)
})

test('what could only fail is refused in the words of the transfer', async (t) => {
  const reading = opened(t, file.path)
  const writing = opened(t, file.path, 'r+')
  const { reader, writer } = pipe(t)
  const cases: [Source, Sink, TransferOptions?][] = [
    [writing, reading],
    [opened(t, '/'), writing],
    [reader, writing, { start: 1 }],
    [writing, writing],
    [reading, writer, { sinkStart: 1 }],
    [createReadStream(pathFor('missing')), writing],
    [2 ** 30, writing],
  ]
  for (const [from, to, options] of cases) {
    const told = thrown(() => plan(from, to, options))
    const { error } = await outcome(transfer(from, to, options))
    const { message, code, side } = error as NodeJS.ErrnoException & { side?: string }
    t.like(told, { message, code, side }, message)
  }
})

test('wrong arguments are named', (t) => {
  const fd = source(t, bytes)
  t.like(
    thrown(() => plan('path' as unknown as number, fd)),
    { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' },
  )
  t.like(
    thrown(() => plan(fd, {} as unknown as number)),
    { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' },
  )
  const misspelt = { fallbck: true } as TransferOptions
  t.regex(thrown(() => plan(fd, fd, misspelt)).message, /options\.fallbck/)
  const off = { disable: ['read_write'] } as unknown as TransferOptions
  t.regex(thrown(() => plan(fd, fd, off)).message, /options\.disable\[0\].*fallback: false/)
  const one = { disable: 'splice' } as unknown as TransferOptions
  t.regex(thrown(() => plan(fd, fd, one)).message, /"options\.disable" argument must be an array/)
})

test('a plan creates nothing, and a transfer begins as if there had been none', async (t) => {
  const path = pathFor('never')
  const from = createReadStream(file.path)
  const to = createWriteStream(path)
  plan(from, to)
  t.false(existsSync(path))
  t.is((await transfer(from, to)).bytes, 100)
  const through = new PassThrough()
  plan(through, new PassThrough())
  t.is(through.readableFlowing, null)
})

/** What ran was planned; what did not was struck out, or refused by the kernel in the order of the plan. */
async function agrees(
  t: ExecutionContext,
  what: string,
  from: Make<Source>,
  to: Make<Sink>,
  wish: TransferOptions = {},
): Promise<void> {
  const [reader, writer] = [await from(t), await to(t)]
  const options = { ...reader.options, ...writer.options, ...wish }
  const planned = told(() => plan(reader.end, writer.end, options))
  const { value, error } = await outcome(transfer(reader.end, writer.end, options))
  if (planned instanceof Error) {
    t.is(error?.message, planned.message, what)
    return
  }
  const names = planned.mechanisms.map(({ mechanism }) => mechanism)
  if (error?.code === 'ERR_ZCIO_COPY_REQUIRED') {
    t.false(names.includes('read_write') || names.includes('stream'), what)
    return
  }
  if (value === undefined) {
    t.fail(`${what}: ${String(error)}`)
    return
  }
  const ran = names.indexOf(value.mechanism)
  t.not(ran, -1, `${what}: ${value.mechanism}`)
  const isStruck = ({ mechanism, code }: { mechanism: Mechanism; code: string }): boolean =>
    planned.refused.some((refused) => refused.mechanism === mechanism && refused.code === code)
  const tried = value.fallbacks.filter((fallback) => !isStruck(fallback))
  t.deepEqual(
    tried.map(({ mechanism }) => mechanism),
    names.slice(0, ran),
    what,
  )
  const better = planned.refused.filter(
    ({ mechanism }) => ORDER.indexOf(mechanism) < ORDER.indexOf(value.mechanism),
  )
  const struck = better.map(({ mechanism, code }) => ({ mechanism, code }))
  t.deepEqual(value.fallbacks.filter(isStruck), struck, what)
}

function told<T>(call: () => T): T | Error {
  try {
    return call()
  } catch (error) {
    return error as Error
  }
}

function filled({ reader, writer }: ReturnType<typeof pipe>): Source {
  writeSync(writer.fd, bytes)
  writer.close()
  return reader
}

async function readable(t: ExecutionContext, family: 'tcp' | 'unix'): ReturnType<typeof writable> {
  const [near, far] = await sockets(t, family)
  near.end(bytes)
  return far
}

async function writable(t: ExecutionContext, family: 'tcp' | 'unix') {
  const [near, far] = await sockets(t, family)
  far.resume()
  return near
}
