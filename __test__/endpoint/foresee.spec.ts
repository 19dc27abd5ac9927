// What lending would give, told of ends that stay as they are.

import test from 'ava'
import { createReadStream, createWriteStream, existsSync, fstatSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { classifySink, classifySource } from '#src/endpoint/classify.js'
import { foreseeSink, foreseeSource, type Foreseen } from '#src/endpoint/foresee.js'
import type { Refused } from '#src/endpoint/lent.js'
import { transfer } from 'zcio'
import { pipe, source } from '../helpers/descriptors.js'
import { failure, thrown } from '../helpers/failures.js'
import { makeFile, pathFor } from '../helpers/files.js'
import { serve } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { bare, sockets } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

/** What is foreseen, without the descriptor, which is closed again. */
function told(foreseen: Foreseen | Refused): object {
  if ('refused' in foreseen) return foreseen
  const { descriptor, close, ...others } = foreseen
  close?.()
  return { ...others, ...(close === undefined ? { descriptor } : {}) }
}

const ofSource = (end: unknown, start?: number): object => told(foreseeSource(classifySource(end), start))
const ofSink = (end: unknown): object => told(foreseeSink(classifySink(end)))

test('a descriptor is what it is', (t) => {
  const fd = source(t, 10)
  t.deepEqual(ofSource(fd), { descriptor: fd })
  t.deepEqual(ofSource(fd, 3), { descriptor: fd, start: 3 })
  t.deepEqual(ofSink({ fd }), { descriptor: fd })
})

test('a stream of a file that is not open yet is asked by its path', (t) => {
  const { path } = makeFile(700)
  const reading = (options?: object): object => ofSource(createReadStream(path, options))
  const writing = (where: string, options?: object): object => ofSink(createWriteStream(where, options))
  t.deepEqual(reading(), { unopened: { size: 700, append: false } })
  t.deepEqual(reading({ start: 5, end: 9 }), { unopened: { size: 700, append: false }, start: 5, length: 5 })
  t.deepEqual(writing(makeFile(7).path), { unopened: { size: 0, append: false } })
  t.deepEqual(writing(makeFile(7).path, { flags: 'a' }), { unopened: { size: 7, append: true } })
  t.deepEqual(writing(makeFile(7).path, { flags: 'r+', start: 2 }), {
    unopened: { size: 7, append: false },
    start: 2,
  })
  t.deepEqual(writing(pathFor('new')), { unopened: { size: 0, append: false } })
  t.deepEqual(writing('/dev/null'), { blocks: true })
})

test('asking creates nothing, truncates nothing, and leaves nothing open', (t) => {
  const { path, bytes } = makeFile(700)
  const missing = pathFor('missing')
  // Streams of their own, which have not been opened when they are asked about.
  const streams = [createWriteStream(path), createWriteStream(missing)]
  for (const stream of streams) ofSink(stream)
  t.false(openDescriptors().some((link) => link === path || link === missing))
  t.false(existsSync(missing))
  t.deepEqual(readFileSync(path), bytes)
  for (const stream of streams) stream.on('error', () => undefined).destroy()
})

test('what cannot be there is an error, on its side', (t) => {
  const missing = createReadStream(pathFor('missing')).on('error', () => undefined)
  t.like(
    thrown(() => ofSource(missing)),
    { code: 'ENOENT', side: 'source' },
  )
  const nowhere = createWriteStream(`${pathFor('folder')}/file`).on('error', () => undefined)
  t.like(
    thrown(() => ofSink(nowhere)),
    { code: 'ENOENT', side: 'sink' },
  )
  const directory = createReadStream('/').on('error', () => undefined)
  t.like(
    thrown(() => ofSource(directory)),
    { code: 'EISDIR', side: 'source' },
  )
})

test('what Node has begun is refused, and goes on as it was', async (t) => {
  const flowing = createReadStream(makeFile(100).path).pause()
  t.deepEqual(ofSource(flowing), { refused: 'FLOWING' })
  t.deepEqual(ofSource(createReadStream(makeFile(100).path).setEncoding('utf8')), {
    refused: 'ENCODING',
  })
  const corked = createWriteStream(pathFor('corked'))
  corked.cork()
  t.deepEqual(ofSink(corked), { refused: 'CORKED' })
  t.is(corked.writableCorked, 1)
  const through = new PassThrough()
  t.deepEqual([ofSource(through), ofSink(through)], [{ refused: 'STREAM' }, { refused: 'STREAM' }])
  t.is(through.readableFlowing, null)
  const [near, far] = await sockets(t)
  const listeners = (): unknown[] => near.eventNames().map((name) => [name, near.listenerCount(name)])
  const before = listeners()
  t.deepEqual(ofSink(near), { descriptor: bare(near) })
  t.deepEqual(listeners(), before)
  t.is(near.writableCorked, 0)
  t.is(far.isPaused(), true)
})

test('a socket that is not connected yet has no descriptor, or one', (t) => {
  const socket = connect({ port: 1, host: '127.0.0.1' }).on('error', () => undefined)
  const foreseen = ofSink(socket) as Foreseen
  t.true(foreseen.descriptor === undefined || fstatSync(foreseen.descriptor).isSocket())
  socket.destroy()
  t.like(
    thrown(() => ofSink(socket)),
    { code: 'ERR_STREAM_PREMATURE_CLOSE', side: 'sink' },
  )
})

test('what is lent is busy', async (t) => {
  const { reader } = pipe(t)
  const [near] = await sockets(t)
  const aborting = new AbortController()
  const moving = failure(transfer(reader, near, { signal: aborting.signal }))
  await until('the socket to be lent', () => near.writableCorked > 0)
  t.is(thrown(() => ofSink(near)).code, 'ERR_ZCIO_BUSY')
  aborting.abort()
  await moving
})

test('a response is as long as it declares, and chunked if it does not', async (t) => {
  const seen: object[] = []
  const server = await serve(t, (res) => {
    seen.push(ofSink(res))
    res.setHeader('Content-Length', 5)
    seen.push(ofSink(res))
    res.flushHeaders()
    seen.push(ofSink(res))
    res.end('12345')
    return Promise.resolve({ bytes: 5, mechanism: 'stream' as const, fallbacks: [] })
  })
  const client = await server.connect()
  t.is((await client.get()).bytes, 5)
  t.deepEqual(
    seen,
    [{ refused: 'CHUNKED' }, { length: 5 }, { length: 5 }].map((expected) =>
      'length' in expected ? { ...expected, descriptor: undefined } : expected,
    ),
  )
})
