// Fan-outs that Node's streams have to carry.

import test from 'ava'
import { Readable, Writable } from 'node:stream'
import { createGzip, gunzipSync } from 'node:zlib'
import { buffer } from 'node:stream/consumers'
import { fanOut } from 'zcio'
import { content, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'

const bytes = pattern(1_000_001)

/** A sink that keeps everything, `delay` ms after it came. */
function keeper(delay = 0): Writable & { kept: Buffer[] } {
  const kept: Buffer[] = []
  const write = (chunk: Buffer, _: unknown, done: () => void): void => {
    kept.push(chunk)
    setTimeout(done, delay)
  }
  return Object.assign(new Writable({ write }), { kept })
}

test('streams and descriptors get the same', async (t) => {
  const zipped = createGzip()
  const all = buffer(zipped)
  const [plain, copy] = [keeper(), sink(t)]
  const result = await fanOut(source(t, bytes), [zipped, plain, copy])
  const each = { bytes: bytes.length, mechanism: 'stream' } as const
  t.deepEqual(result, { bytes: bytes.length, sinks: [each, each, each] })
  t.is(sha256(gunzipSync(await all)), sha256(bytes))
  t.is(sha256(Buffer.concat(plain.kept)), sha256(bytes))
  t.is(sha256(content(copy)), sha256(bytes))
})

test('a stream is a source', async (t) => {
  const [one, other] = [keeper(), sink(t)]
  t.is((await fanOut(Readable.from([Buffer.from('a'), Buffer.from('b')]), [one, other])).bytes, 2)
  t.is(Buffer.concat(one.kept).toString(), 'ab')
  t.is(content(other).toString(), 'ab')
})

test('a sink that fails ends it, or is left out', async (t) => {
  const broken = (): Writable =>
    new Writable({
      write: (_, __, done) => {
        done(new Error('broken'))
      },
    })
  const error = await failure(fanOut(source(t, bytes), [broken(), keeper()]))
  t.like(error, { message: 'broken', side: 'sink' })
  const good = keeper()
  const { sinks } = await fanOut(source(t, bytes), [broken(), good], { onSinkError: 'drop' })
  t.is(sinks[0]?.error?.message, 'broken')
  t.is(sha256(Buffer.concat(good.kept)), sha256(bytes))
  t.is((await failure(fanOut(source(t, bytes), [broken()], { onSinkError: 'drop' }))).message, 'broken')
})

test('a sink that is too slow is left out, and destroyed', async (t) => {
  const [good, stuck] = [keeper(), new Writable({ write: () => undefined })]
  const { bytes: moved, sinks } = await fanOut(source(t, bytes), [good, stuck], { sinkTimeout: 100 })
  t.is(moved, bytes.length)
  t.is(sinks[1]?.error?.code, 'ETIMEDOUT')
  t.true(stuck.destroyed)
})

test('an abort ends it', async (t) => {
  const abort = new AbortController()
  const over = failure(fanOut(source(t, bytes), [keeper(50)], { signal: abort.signal }))
  setTimeout(() => {
    abort.abort()
  }, 20)
  t.is((await over).name, 'AbortError')
})
