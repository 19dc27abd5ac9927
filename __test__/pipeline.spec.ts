import test from 'ava'
import { spawn } from 'node:child_process'
import { createReadStream, createWriteStream, readFileSync, ReadStream } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { PassThrough, Readable, Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline as pipelineByNode } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { pipeline } from 'zcio'
import { tally } from '#src/piping/tally.js'
import { pair, received } from './fixtures/piping/relay.js'
import { FIRST, LARGE, MEDIUM, Scene } from './fixtures/piping/scene.js'
import { failure } from './helpers/failures.js'
import { makeFile, pathFor, sha256 } from './helpers/files.js'
import { outcome } from './helpers/wait.js'

const large = makeFile(LARGE)
const medium = makeFile(MEDIUM)

/** What the kernel moved meanwhile. */
async function moved(work: () => Promise<unknown>): Promise<number> {
  const before = tally().bytes
  await work()
  return tally().bytes - before
}

test.serial('a file goes to a file by the kernel', async (t) => {
  const path = pathFor('copy')
  const sink = createWriteStream(path)
  t.is(await moved(() => pipeline(createReadStream(large.path), sink)), LARGE - FIRST)
  t.true(readFileSync(path).equals(large.bytes))
  t.is(sink.bytesWritten, LARGE)
})

test.serial('a file goes to a response by the kernel', async (t) => {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  let sending: Promise<void> | undefined
  const client = await scene.serve((_, res) => {
    res.setHeader('Content-Length', LARGE)
    sending = pipeline(createReadStream(large.path), res)
  })
  const bytes = await moved(async () => {
    t.is((await client.get()).hash, sha256(large.bytes))
    t.is(await sending, undefined)
  })
  t.is(bytes, LARGE - FIRST)
})

test.serial("a file goes to a socket and to a child's stdin by the kernel", async (t) => {
  const server = createServer((socket) => void pipeline(createReadStream(large.path), socket)).listen(0)
  await once(server, 'listening')
  const bytes = await moved(async () => {
    const came = await buffer(connect((server.address() as AddressInfo).port))
    t.true(came.equals(large.bytes))
    const child = spawn('sha256sum', { stdio: ['pipe', 'pipe', 'inherit'] })
    const hash = buffer(child.stdout)
    await pipeline(createReadStream(large.path), child.stdin)
    t.is((await hash).toString().split(' ')[0], sha256(large.bytes))
  })
  t.is(bytes, 2 * (LARGE - FIRST))
  server.close()
})

test.serial(
  'a socket goes to a socket and to a file by the kernel, and what it carries back too',
  async (t) => {
    const scene = new Scene()
    t.teardown(() => {
      scene.close()
    })
    const [[client, a], [b, server]] = [await pair(scene), await pair(scene)]
    const before = Object.keys(a)
    const path = pathFor('received')
    server.pipe(createWriteStream(path)).once('close', () => server.end(large.bytes))
    const bytes = await moved(async () => {
      const running = Promise.all([pipeline(a, b), pipeline(b, a)])
      client.end(large.bytes)
      t.true((await received(client)).equals(large.bytes))
      await running
    })
    t.true(readFileSync(path).equals(large.bytes))
    t.true(bytes > 1.9 * LARGE, String(bytes))
    t.deepEqual(Object.keys(a), before)

    const [far, near] = await pair(scene)
    far.end(large.bytes)
    t.true((await moved(() => pipeline(near, createWriteStream(path)))) > 0.9 * LARGE)
    t.true(readFileSync(path).equals(large.bytes))
  },
)

test.serial('a last stream is not touched', async (t) => {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  const [a, far] = await pair(scene)
  const read = Reflect.get(a, '_read')
  far.resume()
  const running = pipeline(createReadStream(large.path), a)
  t.is(Reflect.get(a, '_read'), read)
  far.end()
  await running
  t.pass()
})

test.serial('an array of streams is a pipeline too', async (t) => {
  const path = pathFor('copy')
  const streams = [createReadStream(large.path), createWriteStream(path)] as const
  t.is(await moved(() => pipeline(streams as never)), LARGE - FIRST)
  t.true(readFileSync(path).equals(large.bytes))
})

test.serial('`end: false` leaves the last stream open', async (t) => {
  const path = pathFor('copy')
  const sink = createWriteStream(path)
  for (let i = 0; i < 2; i++) await pipeline(createReadStream(medium.path), sink, { end: false })
  t.true(sink.writable)
  sink.end('end')
  await once(sink, 'close')
  t.true(readFileSync(path).equals(Buffer.concat([medium.bytes, medium.bytes, Buffer.from('end')])))
})

test.serial('only the streams of a pipeline are touched, and only while it runs', async (t) => {
  const source = createReadStream(medium.path)
  const before = Reflect.get(ReadStream.prototype, '_read')
  const running = pipeline(source, createWriteStream(pathFor('copy')))
  t.is(Reflect.get(ReadStream.prototype, '_read'), before)
  t.deepEqual(Object.keys(source), Object.keys(createReadStream(medium.path)))
  await running
  t.false(Object.hasOwn(source, '_read'))
})

test.serial('a stream that reads in its own way is left alone', async (t) => {
  let reads = 0
  class Counting extends (ReadStream as unknown as new (path: string) => ReadStream) {
    override _read(size: number): void {
      reads += 1
      super._read(size)
    }
  }
  const path = pathFor('copy')
  t.is(await moved(() => pipeline(new Counting(medium.path), createWriteStream(path))), 0)
  t.is(reads, 17)
  t.true(readFileSync(path).equals(medium.bytes))
})

test.serial('generators, transforms, iterables and web streams are as in Node', async (t) => {
  const path = pathFor('copy')
  async function* upper(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) yield chunk
  }
  const pass = new Transform({
    transform: (chunk: Buffer, _, done) => {
      done(null, chunk)
    },
  })
  await pipeline(
    createReadStream(medium.path),
    upper,
    createGzip(),
    createGunzip(),
    pass,
    createWriteStream(path),
  )
  t.true(readFileSync(path).equals(medium.bytes))
  await pipeline(['a', 'b'], createWriteStream(path))
  t.is(readFileSync(path, 'utf8'), 'ab')
  await pipeline(Readable.toWeb(createReadStream(medium.path)) as never, createWriteStream(path))
  t.true(readFileSync(path).equals(medium.bytes))
  const value = await pipeline(createReadStream(medium.path), async (source) => (await buffer(source)).length)
  t.is(value, MEDIUM)
})

const failures: Record<string, (by: typeof pipeline) => Promise<unknown>> = {
  'no such file': (by) => by(createReadStream('/nowhere'), createWriteStream(pathFor('copy'))),
  'a directory': (by) => by(createReadStream('/tmp'), createWriteStream(pathFor('copy'))),
  'no space': (by) => by(createReadStream(medium.path), createWriteStream('/dev/full')),
  'an aborted signal': (by) =>
    by(createReadStream(medium.path), createWriteStream(pathFor('copy')), { signal: AbortSignal.abort() }),
  'a destroyed sink': (by) => by(createReadStream(medium.path), new PassThrough().destroy()),
  'too few streams': (by) => by(createReadStream(medium.path) as never),
  'something else': (by) => by(createReadStream(medium.path), 7 as never),
}

for (const [name, fail] of Object.entries(failures)) {
  test.serial(`it fails as Node's does: ${name}`, async (t) => {
    const [ours, nodes] = [await outcome(run(fail, pipeline)), await outcome(run(fail, pipelineByNode))]
    t.truthy(nodes.error)
    const tell = ({ error }: typeof ours): object => ({
      ...{ name: error?.name, code: error?.code, syscall: error?.syscall, errno: error?.errno },
    })
    t.deepEqual(tell(ours), tell(nodes))
  })
}

async function run(fail: (by: typeof pipeline) => Promise<unknown>, by: typeof pipeline): Promise<unknown> {
  return fail(by)
}

test.serial('an abort midway stops the kernel and destroys both', async (t) => {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  const abort = new AbortController()
  const source = createReadStream(large.path)
  let failing: Promise<NodeJS.ErrnoException> | undefined
  const client = await scene.serve((_, res) => {
    res.setHeader('Content-Length', LARGE)
    failing = failure(pipeline(source, res, { signal: abort.signal }))
  })
  client.request()
  await client.head()
  await scene.read(source, 1)
  abort.abort()
  t.like(await failing, { name: 'AbortError', code: 'ABORT_ERR' })
  t.true((await client.drain()) < LARGE)
  t.true(source.destroyed)
})
