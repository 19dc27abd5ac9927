// A source and many sinks are lent together or not at all; nothing that Node had read is lost either way.

import test, { type ExecutionContext } from 'ava'
import { createWriteStream } from 'node:fs'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { fanOut } from 'zcio'
import { pipe, sink } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { pathFor } from '../helpers/files.js'
import { received, sockets } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

async function readAhead(t: ExecutionContext): Promise<[near: Socket, far: Socket]> {
  const [near, far] = await sockets(t)
  near.resume().pause()
  far.write('early, ')
  await until('Node has read', () => near.readableLength === 7)
  return [near, far]
}

test('one sink that is busy leaves all others, and the source with its bytes, as they were', async (t) => {
  const [[source, far], [one, peer], [busy]] = [await readAhead(t), await sockets(t), await sockets(t)]
  t.is((await failure(fanOut(source, [one, busy, busy]))).code, 'ERR_ZCIO_BUSY')
  far.end('late')
  t.is(String(await received(source)), 'early, late')
  one.end('still mine')
  t.is(String(await received(peer)), 'still mine')
  t.is(busy.writableCorked, 0)
})

test('a pipe that another fan-out writes is found busy by the engine: the source keeps its bytes', async (t) => {
  const [[source, far], [other]] = [await readAhead(t), await sockets(t)]
  const { reader, writer } = pipe(t)
  const abort = new AbortController()
  const first = failure(fanOut(other, [writer], { signal: abort.signal }))
  const error = await failure(fanOut(source, [sink(t), writer]))
  t.is(error.code, 'ERR_ZCIO_BUSY')
  t.is(error.residual, undefined)
  t.is((await failure(fanOut(source, [sink(t), reader]))).code, 'EBADF')
  abort.abort()
  await first
  far.destroy()
})

for (const end of [true, false]) {
  test(`a sink that is gone: what had been read is ${end ? "the error's" : "the source's"} with end: ${end}`, async (t) => {
    const [[source, far], [gone]] = [await readAhead(t), await sockets(t)]
    gone.destroy()
    const error = await failure(fanOut(source, [sink(t), gone], { end }))
    t.is(error.code, 'ERR_STREAM_PREMATURE_CLOSE')
    t.is(source.destroyed, end)
    t.is(String(error.residual ?? ''), end ? 'early, ' : '')
    far.end('late')
    if (!end) t.is(String(await received(source)), 'early, late')
  })
}

test('an abort while a sink is waited for loses nothing either', async (t) => {
  const [[source], [stuck], abort] = [await readAhead(t), await sockets(t), new AbortController()]
  stuck.write(Buffer.alloc(32 << 20))
  const over = failure(fanOut(source, [stuck], { signal: abort.signal }))
  await until('the source has been taken', () => source.readableLength === 0)
  abort.abort()
  const error = await over
  t.is(error.name, 'AbortError')
  t.is(String(error.residual), 'early, ')
})

test('a sink without a descriptor, or at an offset, has all written by Node, early bytes first', async (t) => {
  for (const [other, code] of [
    [new PassThrough().resume(), 'STREAM'],
    [createWriteStream(pathFor('sink'), { start: 5 }), 'SINK_START'],
  ] as const) {
    const [[source, far], [one, peer]] = [await readAhead(t), await sockets(t)]
    const over = fanOut(source, [one, other])
    far.end('late')
    t.is(String(await received(peer)), 'early, late')
    t.deepEqual((await over).fallbacks, [{ mechanism: 'splice', code }])
  }
})
