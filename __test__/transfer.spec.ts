// Any source to any sink: the bytes arrive, the count is right, and the words are those of the interface.

import test, { type ExecutionContext } from 'ava'
import { closeSync, constants, createReadStream, createWriteStream, openSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { transfer, type Mechanism, type Pipe, type Sink, type Source } from 'zcio'
import { run } from './helpers/children.js'
import { content, fifo, opened, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from './helpers/files.js'
import { bare, received, sockets } from './helpers/sockets.js'

const size = 300_000
const bytes = pattern(size)
const file = makeFile(bytes)

/** Each made so that it ends. */
const sources: Record<string, (t: ExecutionContext) => Source | Promise<Source>> = {
  'a descriptor': (t) => source(t, bytes),
  'a FileHandle': async (t) => {
    const handle = await open(file.path)
    t.teardown(() => handle.close())
    return handle
  },
  'a ReadStream': () => createReadStream(file.path),
  'a FIFO': (t) => {
    const path = fifo()
    const reader = opened(t, path, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    feed(t, writer, () => {
      closeSync(writer)
    })
    return reader
  },
  'a pipe': (t) => {
    const { reader, writer } = pipe(t)
    feed(t, writer, () => {
      writer.close()
    })
    return reader
  },
  'a blocking pipe': (t) => {
    const { reader, writer } = pipe(t, { readerBlocking: true })
    feed(t, writer, () => {
      writer.close()
    })
    return reader
  },
  'a bare socket': async (t) => {
    const [near, far] = await sockets(t)
    near.end(bytes)
    return bare(far)
  },
  'a net.Socket': async (t) => {
    const [near, far] = await sockets(t, 'unix')
    near.end(bytes)
    return far
  },
  'a Readable': () => Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]),
}

function feed(t: ExecutionContext, to: Sink, end: () => void): void {
  transfer(source(t, bytes), to).then(end, end)
}

interface Receiver {
  sink: Sink
  /** What it got, once the transfer is over. */
  got: () => Buffer | Promise<Buffer>
}

const sinks: Record<string, (t: ExecutionContext) => Receiver | Promise<Receiver>> = {
  'a descriptor': (t) => {
    const fd = sink(t)
    return { sink: fd, got: () => content(fd) }
  },
  'a FileHandle': async (t) => {
    const path = pathFor('sink')
    const handle = await open(path, 'w')
    t.teardown(() => handle.close())
    return { sink: handle, got: () => readFileSync(path) }
  },
  'a file that is appended to': (t) => {
    const path = pathFor('sink')
    return { sink: opened(t, path, 'a'), got: () => readFileSync(path) }
  },
  'a WriteStream': () => {
    const path = pathFor('sink')
    return { sink: createWriteStream(path), got: () => readFileSync(path) }
  },
  'a pipe': (t) => through(t, pipe(t)),
  'a blocking pipe': (t) => through(t, pipe(t, { writerBlocking: true })),
  'a bare socket': async (t) => {
    const [near, far] = await sockets(t, 'unix')
    const arrived = received(far)
    return {
      sink: bare(near),
      got: () => {
        near.end()
        return arrived
      },
    }
  },
  'a net.Socket': async (t) => {
    const [near, far] = await sockets(t)
    const arrived = received(far)
    return { sink: near, got: () => arrived }
  },
  'a Writable': () => {
    const to = new PassThrough()
    const arrived = buffer(to)
    return { sink: to as Writable, got: () => arrived }
  },
}

function through(t: ExecutionContext, { reader, writer }: Pipe): Receiver {
  const fd = sink(t)
  const arrived = transfer(reader, fd)
  return {
    sink: writer,
    got: async () => {
      writer.close()
      await arrived
      return content(fd)
    },
  }
}

const mechanisms: Mechanism[] = ['reflink', 'copy_file_range', 'sendfile', 'splice', 'read_write', 'stream']

/** oven-sh/bun#36692, oven-sh/bun#14054: kinds that nobody had tried together. */
for (const [from, makeSource] of Object.entries(sources)) {
  for (const [to, makeSink] of Object.entries(sinks)) {
    test(`${from} goes to ${to}`, async (t) => {
      const receiver = await makeSink(t)
      const {
        bytes: moved,
        mechanism,
        fallbacks,
        ...more
      } = await transfer(await makeSource(t), receiver.sink)
      t.is(sha256(await receiver.got()), sha256(bytes))
      t.is(moved, size)
      t.true(mechanisms.includes(mechanism))
      for (const fallback of fallbacks) {
        t.true(mechanisms.includes(fallback.mechanism))
        t.regex(fallback.code, /^[A-Z][A-Z0-9_]+$/)
      }
      t.deepEqual(more, {})
    })
  }
}

test('a length takes so much and leaves the rest, whatever it is taken from', async (t) => {
  for (const [name, makeSource] of Object.entries(sources)) {
    const from = await makeSource(t)
    const to = sink(t)
    t.is((await transfer(from, to, { length: 1000, end: false })).bytes, 1000, name)
    t.is((await transfer(from, to)).bytes, size - 1000, name)
    t.is(sha256(content(to)), sha256(bytes), name)
  }
})

test('a sink that fails as it ends has accepted everything', async (t) => {
  const failing = createWriteStream(pathFor('sink'))
  failing._final = (done) => {
    done(new Error('disk on fire'))
  }
  const error = await failure(transfer(source(t, bytes), failing))
  t.like(error, { message: 'disk on fire', side: 'sink', bytes: size })
})

test('the package can be required', async (t) => {
  const { code, stdout } = await run(`
    import { createRequire } from 'node:module'
    const zcio = createRequire(process.cwd() + '/x.js')('zcio')
    console.log(typeof zcio.transfer, zcio === await import('zcio') || 'another')`)
  t.is(code, 0)
  t.regex(stdout, /^function /)
})
