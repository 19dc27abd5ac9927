import 'zcio/register'
import test from 'ava'
import { execFileSync } from 'node:child_process'
import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { once } from 'node:events'
import fs, {
  createReadStream,
  createWriteStream,
  openSync,
  readFileSync,
  readSync,
  type ReadStream,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { PassThrough, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { tally } from '#src/piping/tally.js'
import { evict, makeFile, memory, pathFor, sha256 } from '../helpers/files.js'
import { until } from '../helpers/wait.js'

/** How often Node asks a thread of its pool for something of a file. */
async function asked(what: () => Promise<unknown>): Promise<number> {
  let requests = 0
  const hook = createHook({
    init: (_, type) => {
      if (type.startsWith('FSREQ')) requests += 1
    },
  }).enable()
  try {
    await what()
  } finally {
    hook.disable()
  }
  return requests
}

/** What comes out of a stream that is piped. */
async function piped(source: ReadStream): Promise<Buffer> {
  const closed = once(source, 'close')
  const bytes = await buffer(source.pipe(new PassThrough()))
  await closed
  return bytes
}

const small = makeFile(70_001, 'small', memory())

test.serial(
  'what is in memory of a short range is read without a thread, wherever the stream stands',
  async (t) => {
    const parts: [source: () => ReadStream, from: number, to: number, requests: number][] = [
      [() => createReadStream(small.path, { start: 0, end: 4095 }), 0, 4096, 2],
      [() => createReadStream(small.path, { end: 70_000 }), 0, 70_001, 2],
      [() => createReadStream(small.path, { start: 60_000, end: 70_000 }), 60_000, 70_001, 2],
      [() => createReadStream(small.path, { highWaterMark: 100, end: 999 }), 0, 1000, 2],
      [() => createReadStream(small.path, { end: 100_000 }), 0, 70_001, 2],
      [() => createReadStream('', { fd: movedTo(50_000), end: 29_999 }), 50_000, 70_001, 1],
    ]
    for (const [source, from, to, requests] of parts) {
      const before = tally().runs
      let came = ''
      const count = await asked(async () => {
        came = sha256(await piped(source()))
      })
      t.is(came, sha256(small.bytes.subarray(from, to)))
      // To open it and to close it.
      t.is(count, requests)
      t.is(tally().runs, before)
    }
  },
)

/** A descriptor that stands so far from its file's beginning. */
function movedTo(position: number): number {
  const fd = openSync(small.path, 'r')
  readSync(fd, Buffer.alloc(position), 0, position, null)
  return fd
}

for (const options of [{}, { end: 70_000 }]) {
  test.serial(
    `a small file is the body of a response, and tells what Node tells: ${JSON.stringify(options)}`,
    async (t) => {
      const events: string[] = []
      const server = createServer((_, res) => {
        const source = createReadStream(small.path, options)
        for (const event of ['open', 'ready', 'end', 'close']) source.once(event, () => events.push(event))
        res.setHeader('Content-Length', small.bytes.length)
        source.pipe(res)
        source.once('close', () => t.is(source.bytesRead, small.bytes.length))
      }).listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const requests = await asked(async () => {
        const response = await fetch(`http://127.0.0.1:${port}`, { headers: { connection: 'close' } })
        t.is(sha256(Buffer.from(await response.arrayBuffer())), sha256(small.bytes))
        await until('the end', () => events.includes('close'))
      })
      t.deepEqual(events, ['open', 'ready', 'end', 'close'])
      t.is(requests, 2)
    },
  )
}

test.serial('what is not in memory, or cannot be read, is Node’s to wait for and to tell', async (t) => {
  const cold = makeFile(70_001)
  evict(cold.path)
  t.is(sha256(await piped(createReadStream(cold.path, { end: 70_000 }))), sha256(cold.bytes))
  const failing = async (source: ReadStream): Promise<NodeJS.ErrnoException> => {
    source.pipe(new PassThrough())
    const [error] = (await once(source, 'error')) as [NodeJS.ErrnoException]
    return error
  }
  t.like(await failing(createReadStream('/proc/self')), { code: 'EISDIR', syscall: 'read' })
  const writing = openSync(pathFor('written'), 'w')
  t.like(await failing(createReadStream('', { fd: writing, end: 9 })), { code: 'EBADF', syscall: 'read' })
  t.like(await failing(createReadStream(pathFor('missing'))), { code: 'ENOENT', syscall: 'open' })
})

for (const directory of new Set([tmpdir(), memory()])) {
  test.serial(`a pipe that is opened as a file in ${directory} is waited for`, async (t) => {
    const path = pathFor('fifo', directory)
    execFileSync('mkfifo', [path])
    const coming = piped(createReadStream(path, { end: 9 }))
    const sink = createWriteStream(path)
    sink.write('01234')
    await sleep(50)
    sink.write('56789 and more')
    t.is((await coming).toString(), '0123456789')
    await once(sink.end(), 'close')
  })
}

test.serial('who has put a function in place of fs.read sees every read', async (t) => {
  const own = fs.read
  let reads = 0
  t.teardown(() => {
    fs.read = own
  })
  fs.read = Object.assign((...args: Parameters<typeof own>): void => {
    reads += 1
    own(...args)
  }, own)
  t.is(sha256(await piped(createReadStream(small.path, { end: 70_000 }))), sha256(small.bytes))
  t.true(reads >= 2)
})

test.serial('a FileHandle is read by itself', async (t) => {
  const handle = await open(small.path)
  t.is(sha256(await piped(handle.createReadStream({ end: 70_000 }))), sha256(small.bytes))
})

test.serial('a stream that is destroyed meanwhile closes its file once, and reads no more', async (t) => {
  const source = createReadStream(small.path, { end: 4095 })
  let bytes = 0
  const sink = new Writable({
    write: (chunk: Buffer, _, done) => {
      bytes += chunk.length
      done()
    },
  })
  await once(source, 'open')
  source.pipe(sink)
  await Promise.resolve()
  const fd = (source as unknown as { fd: number }).fd
  source.destroy()
  await once(source, 'close')
  t.is(bytes, 0)
  t.throws(() => readFileSync(fd), { code: 'EBADF' })
})

test.serial('who fakes the timers of his tests has his files read all the same', async (t) => {
  const { setImmediate: own } = globalThis
  t.teardown(() => {
    globalThis.setImmediate = own
  })
  globalThis.setImmediate = Object.assign((): never => {
    throw new Error('nobody turns the clock')
  }, own)
  t.is(
    sha256(await piped(createReadStream(small.path, { end: 4095 }))),
    sha256(small.bytes.subarray(0, 4096)),
  )
})

test.serial('other work of the event loop has its turn between two reads', async (t) => {
  let turns = 0
  const counting = setInterval(() => {
    turns += 1
  }, 0)
  const source = createReadStream(small.path, { highWaterMark: 10, end: 70_000 })
  t.is(sha256(await piped(source)), sha256(small.bytes))
  clearInterval(counting)
  t.true(turns > 10, `${turns}`)
})

test.serial('what a chunk sets off belongs to who asked for it', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const who = await storage.run('who asked', () => {
    const sink = createReadStream(small.path, { end: 4095 }).pipe(new PassThrough())
    return new Promise((resolve) =>
      sink.once('data', () => {
        resolve(storage.getStore())
      }),
    )
  })
  t.is(who, 'who asked')
})
