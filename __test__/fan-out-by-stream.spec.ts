// Fan-outs that Node's streams have to carry.

import test from 'ava'
import { PassThrough, Readable, Writable } from 'node:stream'
import { createGzip, gunzipSync } from 'node:zlib'
import { buffer } from 'node:stream/consumers'
import { fanOut, stats, transfer } from 'zcio'
import { content, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'
import { openDescriptors } from './helpers/processes.js'
import { bare, received, sockets } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

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
  t.deepEqual(result, {
    bytes: bytes.length,
    sinks: [each, each, each],
    fallbacks: [{ mechanism: 'splice', code: 'STREAM' }],
  })
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

test('a sink that is destroyed midway is one that was closed', async (t) => {
  const closing = new Writable({
    write() {
      this.destroy()
    },
  })
  const error = await failure(fanOut(source(t, bytes), [closing, keeper()]))
  t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink', bytes: 0 })
})

test('a sink that has ended is none, and nothing is taken for it', async (t) => {
  const from = new PassThrough()
  from.end('some')
  const before = openDescriptors().length
  const sinks = [sink(t), new PassThrough().end()]
  t.like(await failure(fanOut(from, sinks, { end: false })), {
    code: 'ERR_STREAM_PREMATURE_CLOSE',
    side: 'sink',
    bytes: 0,
  })
  t.is(String(from.read()), 'some')
  await until('its own descriptors are closed', () => openDescriptors().length <= before + 1)
})

test('a sink that is too slow is left out, and destroyed', async (t) => {
  const [good, stuck] = [keeper(), new Writable({ write: () => undefined })]
  const { bytes: moved, sinks } = await fanOut(source(t, bytes), [good, stuck], { sinkTimeout: 100 })
  t.is(moved, bytes.length)
  t.is(sinks[1]?.error?.code, 'ETIMEDOUT')
  t.true(stuck.destroyed)
})

test('an abort ends it, also while a sink is waited for that accepts nothing', async (t) => {
  const abort = new AbortController()
  const stuck = new Writable({
    write: () => {
      abort.abort()
    },
  })
  t.like(await failure(fanOut(source(t, bytes), [stuck], { signal: abort.signal })), {
    name: 'AbortError',
    bytes: 0,
  })
  t.true(stuck.destroyed)
})

test('with end: false, what is left of a source can still be read', async (t) => {
  const from = new PassThrough()
  from.write('first')
  const broken = new Writable({
    write: (chunk: Buffer, _, done) => {
      done(chunk.includes('second') ? new Error('broken') : null)
    },
  })
  const over = failure(fanOut(from, [broken], { end: false, onProgress: () => from.write('second') }))
  const error = await over
  from.end('third')
  t.like(error, { message: 'broken', bytes: 5 })
  t.false(from.destroyed)
  t.is(String(await buffer(from)), 'secondthird')
})

test('aborted, it loses nothing of a stream', async (t) => {
  for (const end of [true, false]) {
    const [from, abort, file] = [new PassThrough(), new AbortController(), sink(t)]
    const stuck = new Writable({
      write: () => {
        abort.abort()
      },
    })
    from.write(bytes)
    const { bytes: moved, residual } = await failure(
      fanOut(from, [file, stuck], { end, signal: abort.signal }),
    )
    t.is(moved, end ? 0 : bytes.length, 'a sink that lives on sees to what it was given')
    t.is(residual?.length, end ? bytes.length : undefined)
    t.is(content(file).length, bytes.length, 'a write to a file is waited for')
    t.is(from.destroyed, end)
  }
})

test('a nonblocking pipe that is left has accepted what is in it, and the source has the rest', async (t) => {
  const [from, { reader, writer }, abort] = [new PassThrough(), pipe(t), new AbortController()]
  from.write(bytes)
  const over = failure(fanOut(from, [writer], { end: false, signal: abort.signal }))
  setTimeout(() => {
    abort.abort()
  }, 50)
  const { bytes: moved, residual } = await over
  writer.close()
  const to = sink(t)
  await transfer(reader, to)
  t.deepEqual([moved, residual], [content(to).length, undefined])
  from.end()
  t.is(sha256(Buffer.concat([content(to), await buffer(from)])), sha256(bytes))
})

test('a source that fails or is destroyed ends it with its error', async (t) => {
  const failing = new Readable({
    read() {
      this.destroy(new Error('no more'))
    },
  })
  t.like(await failure(fanOut(failing, [keeper()])), { message: 'no more', side: 'source', bytes: 0 })
  const gone = new Readable({
    read() {
      this.destroy()
    },
  })
  t.is((await failure(fanOut(gone, [keeper()]))).code, 'ERR_STREAM_PREMATURE_CLOSE')
})

test('a bare socket is written without being ended', async (t) => {
  const [near, far] = await sockets(t)
  await fanOut(Readable.from(['one, ', 'two, ']), [bare(near), keeper()])
  near.end('three')
  t.is(String(await received(far)), 'one, two, three')
})

test.serial('it is counted', async (t) => {
  const before = stats()
  await fanOut(source(t, bytes), [keeper(), keeper()])
  await failure(
    fanOut(source(t, bytes), [
      keeper(),
      new Writable({
        write: (_, __, done) => {
          done(new Error('x'))
        },
      }),
    ]),
  )
  const after = stats()
  t.is(after.transfers.completed - before.transfers.completed, 1)
  t.is(after.transfers.failed - before.transfers.failed, 1)
  t.true(after.bytes.stream - before.bytes.stream >= 2 * bytes.length)
})

test('an abort ends it', async (t) => {
  const abort = new AbortController()
  const over = failure(fanOut(source(t, bytes), [keeper(50)], { signal: abort.signal }))
  setTimeout(() => {
    abort.abort()
  }, 20)
  t.is((await over).name, 'AbortError')
})
