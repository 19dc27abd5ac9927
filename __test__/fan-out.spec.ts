// One source to many sinks.

import test from 'ava'
import { once } from 'node:events'
import { constants, createReadStream, createWriteStream, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Socket } from 'node:net'
import { fanOut, type Sink } from 'zcio'
import { content, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, pathFor, pattern, sha256 } from './helpers/files.js'
import { serve } from './helpers/http-server.js'
import { openDescriptors } from './helpers/processes.js'
import { received, sockets, take } from './helpers/sockets.js'
import { outcome, until } from './helpers/wait.js'

const bytes = pattern(3_000_001)

test('a file reaches a file, a stream, a socket and a pipe, read once since only one is a pipe', async (t) => {
  const [near, far] = await sockets(t)
  const { reader, writer } = pipe(t)
  const [copy, path, piped] = [sink(t), pathFor('sink'), sink(t)]
  const fromSocket = received(far)
  const fromPipe = fanOut(reader, [piped])
  const result = await fanOut(source(t, bytes), [copy, createWriteStream(path), near, writer])
  writer.close()
  const all = { bytes: bytes.length, mechanism: 'read_write' } as const
  const fallbacks = [{ mechanism: 'splice', code: 'FEW_PIPES' }]
  t.deepEqual(result, { bytes: bytes.length, sinks: [all, all, all, all], fallbacks })
  t.is((await fromPipe).bytes, bytes.length)
  for (const received of [content(copy), readFileSync(path), await fromSocket, content(piped)])
    t.is(sha256(received), sha256(bytes))
  t.true(near.destroyed || near.writableEnded)
})

test('a socket reaches pipes and a file by tee and splice', async (t) => {
  const [near, far] = await sockets(t)
  const [one, other] = [pipe(t), pipe(t)]
  const copies = [sink(t), sink(t), sink(t)] as const
  const over = fanOut(near, [one.writer, other.writer, copies[0]])
  const drained = [fanOut(one.reader, [copies[1]]), fanOut(other.reader, [copies[2]])]
  far.end(bytes)
  const { sinks, fallbacks } = await over
  one.writer.close()
  other.writer.close()
  await Promise.all(drained)
  t.deepEqual([sinks.map(({ mechanism }) => mechanism), fallbacks], [['splice', 'splice', 'splice'], []])
  for (const copy of copies) t.is(sha256(content(copy)), sha256(bytes))
})

test('a socket reaches many, what Node has read of it first', async (t) => {
  const [near, far] = await sockets(t)
  const pairs = await Promise.all([sockets(t), sockets(t), sockets(t)])
  far.write(bytes)
  near.resume().pause()
  await until('Node has read', () => near.readableLength > 0)
  const all = pairs.map(([, end]) => received(end))
  const over = fanOut(
    near,
    pairs.map(([begin]) => begin),
  )
  far.end('the end')
  t.is((await over).bytes, bytes.length + 7)
  for (const one of await Promise.all(all))
    t.is(sha256(one), sha256(Buffer.concat([bytes, Buffer.from('the end')])))
  t.is(near.bytesRead, bytes.length + 7)
  t.is(pairs[0][0].bytesWritten, bytes.length + 7)
})

test('the slowest sink sets the pace', async (t) => {
  const [[fast, fastEnd], [slow, slowEnd]] = [await sockets(t), await sockets(t)]
  const all = received(fastEnd)
  const progress: number[] = []
  const content = pattern(16 << 20)
  const over = fanOut(source(t, content), [fast, slow], {
    onProgress: (report) => progress.push(report.bytes),
  })
  let last = -1
  await until('it comes to rest', async () => {
    const before = last
    last = fast.bytesWritten
    await sleep(100)
    return last > 0 && last === before
  })
  t.true(last < content.length)
  t.is(sha256(await received(slowEnd)), sha256(content))
  t.is(sha256(await all), sha256(content))
  t.is((await over).bytes, content.length)
  t.is(progress.at(-1), content.length)
})

for (const onSinkError of ['abort', 'drop'] as const) {
  test(`a sink that is gone, and 'onSinkError' is '${onSinkError}'`, async (t) => {
    const [[good, goodEnd], [bad, badEnd]] = [await sockets(t), await sockets(t)]
    const content = pattern(16 << 20)
    const over = fanOut(source(t, content), [bad, good], { onSinkError })
    over.catch(() => undefined)
    await take(badEnd, 1000)
    const all = received(goodEnd)
    badEnd.resetAndDestroy()
    if (onSinkError === 'drop') {
      const { bytes: moved, sinks } = await over
      t.is(moved, content.length)
      t.true(['EPIPE', 'ECONNRESET'].includes(sinks[0]?.error?.code ?? ''))
      t.is(sinks[1]?.error, undefined)
      t.is(sha256(await all), sha256(content))
      t.true(bad.destroyed)
    } else {
      t.like(await failure(over), { side: 'sink' })
      t.true(good.destroyed && bad.destroyed)
    }
  })
}

test('a sink that fails as it ends has accepted everything', async (t) => {
  const failing = createWriteStream(pathFor('sink'))
  failing._final = (done) => {
    done(new Error('disk on fire'))
  }
  const error = await failure(fanOut(source(t, bytes), [failing, sink(t)]))
  t.like(error, { message: 'disk on fire', side: 'sink', bytes: bytes.length })
})

test('a sink that JavaScript destroys is one that is gone', async (t) => {
  const [[good, goodEnd], [bad, badEnd]] = [await sockets(t), await sockets(t)]
  const content = pattern(16 << 20)
  const over = fanOut(source(t, content), [bad, good], { onSinkError: 'drop' })
  await take(badEnd, 1000)
  const all = received(goodEnd)
  bad.destroy()
  t.truthy((await over).sinks[0]?.error)
  t.is(sha256(await all), sha256(content))
})

test('a sink that accepts nothing for too long is left out', async (t) => {
  const [[good, goodEnd], [stuck]] = [await sockets(t), await sockets(t)]
  const content = pattern(16 << 20)
  const all = received(goodEnd)
  const { bytes: moved, sinks } = await fanOut(source(t, content), [good, stuck], { sinkTimeout: 2000 })
  t.is(moved, content.length)
  t.is(sinks[1]?.error?.code, 'ETIMEDOUT')
  t.is(sha256(await all), sha256(content))
  t.true(stuck.destroyed)
})

for (const why of ['too slow', 'gone'] as const) {
  test(`who is left out, being ${why}, is destroyed while the others go on`, async (t) => {
    const [[near, far], [good, goodEnd], [bad, badEnd]] = [
      await sockets(t),
      await sockets(t),
      await sockets(t),
    ]
    const sinkTimeout = why === 'too slow' ? 2000 : 0
    const over = fanOut(near, [bad, good], { sinkTimeout, onSinkError: 'drop' })
    const content = pattern(16 << 20)
    far.write(content)
    if (why === 'gone') badEnd.resetAndDestroy()
    t.is(sha256(await take(goodEnd, content.length)), sha256(content))
    await until('it is destroyed', () => bad.destroyed)
    if (why === 'too slow') t.true((await received(badEnd)).length < content.length)
    t.false(near.destroyed || good.destroyed)
    far.end('more')
    t.is(String(await received(goodEnd)), 'more')
    const { bytes: moved, sinks } = await over
    t.is(moved, content.length + 4)
    t.is(sinks[0]?.error?.code === 'ETIMEDOUT', why === 'too slow')
  })
}

test('an abort leaves open what was to stay so, with what was taken put back', async (t) => {
  const [[near, far], [one, oneEnd], [other]] = [await sockets(t), await sockets(t), await sockets(t)]
  const abort = new AbortController()
  const content = pattern(8 << 20)
  far.end(content)
  const over = failure(fanOut(near, [one, other], { signal: abort.signal, end: false }))
  await until('it moves', () => one.bytesWritten > 100_000)
  abort.abort()
  const error = await over
  t.is(error.name, 'AbortError')
  const rest = await received(near)
  t.is(sha256(Buffer.concat([content.subarray(0, error.bytes), rest])), sha256(content))
  t.false(one.destroyed || other.destroyed)
  t.is(sha256(await take(oneEnd, error.bytes)), sha256(content.subarray(0, error.bytes)))
})

test('responses are sinks, too', async (t) => {
  const { path } = makeFile(bytes)
  const copy = sink(t)
  const server = await serve(t, (res) => {
    res.setHeader('Content-Length', bytes.length)
    return fanOut(createReadStream(path), [res, copy]).then(({ bytes: moved, sinks }) => ({
      bytes: moved,
      mechanism: sinks[0]?.mechanism ?? 'stream',
      fallbacks: [],
    }))
  })
  const client = await server.connect()
  t.is((await client.get('/')).hash, sha256(bytes))
  t.is(sha256(content(copy)), sha256(bytes))
})

test('no descriptor is left behind', async (t) => {
  await fanOut(source(t, 10), [sink(t)])
  const [from, ...to] = [source(t, bytes), sink(t), sink(t), sink(t)]
  const before = openDescriptors().length
  for (let round = 0; round < 20; round++) {
    const abort = new AbortController()
    const over = fanOut(from, to, { signal: abort.signal })
    if (round % 2) abort.abort()
    await over.catch(() => undefined)
  }
  await until('kept pipes are closed', () => openDescriptors().length <= before)
  t.pass()
})

test('what makes no sense is refused before anything moves', async (t) => {
  const [from, to] = [source(t, 10), sink(t)]
  for (const [sinks, options, code] of [
    [[], {}, 'ERR_INVALID_ARG_VALUE'],
    [to, {}, 'ERR_INVALID_ARG_TYPE'],
    [[to, {}], {}, 'ERR_INVALID_ARG_TYPE'],
    [[to, -1], {}, 'ERR_OUT_OF_RANGE'],
    [[to], { onSinkError: 'ignore' }, 'ERR_INVALID_ARG_VALUE'],
    [[to], { sinkTimeout: NaN }, 'ERR_OUT_OF_RANGE'],
    [[to], { sinkTimout: 5 }, 'ERR_INVALID_ARG_VALUE'],
    [[to, from], {}, 'EBADF'],
  ] as [Sink[], object, string][]) {
    t.is((await failure(fanOut(from, sinks, options))).code, code)
  }
  const holes = await failure(fanOut(from, new Array<Sink>(1)))
  t.is(holes.code, 'ERR_INVALID_ARG_TYPE')
  t.regex(holes.message, /"sinks\[0\]"/)
  t.is(content(to).length, 0)
  const [near]: [Socket, Socket] = await sockets(t)
  t.is((await failure(fanOut(from, [near, near]))).code, 'ERR_ZCIO_BUSY')
})

const large = makeFile(64 * 2 ** 20)

test('a file that is destroyed while it is written is closed afterwards, and not before', async (t) => {
  for (let i = 0; i < 10; i++) {
    const path = pathFor('destroyed')
    const [destroyed, other] = [createWriteStream(path), createWriteStream(pathFor('other'))]
    // It may be over before.
    const over = outcome(fanOut(createReadStream(large.path), [destroyed, other]))
    await until('it is written', () => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0)
    destroyed.destroy()
    await once(destroyed, 'close')
    const { size } = statSync(path)
    await over
    t.is(statSync(path).size, size)
  }
})

test('a file that is left out, and so destroyed, leaves the others alone', async (t) => {
  const [from, path] = [pipe(t), pathFor('kept')]
  // Where it could block, only Node would write it. Its type wants a string.
  const flags = (constants.O_WRONLY | constants.O_NONBLOCK) as unknown as string
  const full = createWriteStream('/dev/full', { flags })
  const over = fanOut(from.reader, [full, createWriteStream(path)], { onSinkError: 'drop' })
  from.writeSync(Buffer.from('before, '))
  await once(full, 'close')
  from.writeSync(Buffer.from('and after'))
  from.writer.close()
  const { sinks } = await over
  t.is(sinks[0]?.error?.code, 'ENOSPC')
  t.not(sinks[0]?.mechanism, 'stream')
  t.is(readFileSync(path, 'utf8'), 'before, and after')
})
