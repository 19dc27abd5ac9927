// One run of the engine: what it makes of an outcome, and that what was lent is given back however it ends.

import test, { type ExecutionContext } from 'ava'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { Declined, move, truncated, type Move } from '#src/move.js'
import type { ProgressReport } from 'zcio'
import { content, opened, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'
import { bare, received, sockets, take } from './helpers/sockets.js'

const size = 8 * 2 ** 20
const bytes = pattern(size)

/** A job with nothing special about it. */
function job(from: number, to: number, more: Partial<Move> = {}): Move {
  return { source: from, sink: to, fallback: true, snapshot: false, isSinkSocket: false, ...more }
}

/** A socket whose peer has read a little. */
async function midway(
  t: ExecutionContext,
  more: Partial<Move> = {},
): Promise<{ near: Socket; far: Socket; moving: Promise<unknown> }> {
  const [near, far] = await sockets(t, 'unix')
  const moving = move(job(source(t, bytes), bare(near), { socket: near, isSinkSocket: true, ...more }))
  moving.catch(() => undefined)
  await take(far, 1000)
  return { near, far, moving }
}

test('what was moved before counts, and the total is passed on', async (t) => {
  const to = sink(t)
  const reports: ProgressReport[] = []
  const result = await move(
    job(source(t, bytes), to, {
      start: 1000,
      moved: 1000,
      total: size,
      onProgress: (report) => reports.push(report),
    }),
  )
  t.is(result.bytes, size)
  t.deepEqual(reports.at(-1), { bytes: size, total: size })
  t.is(sha256(content(to)), sha256(bytes.subarray(1000)))
})

test('while it is lent a socket is corked, and is as before when it is over', async (t) => {
  const { near, far, moving } = await midway(t)
  t.true(near.writableCorked > 0)
  const rest = received(far)
  await moving
  t.is(near.writableCorked, 0)
  near.end()
  t.is((await rest).length, size - 1000)
})

test('it is given back after a failure too', async (t) => {
  const controller = new AbortController()
  const { near, moving } = await midway(t, { signal: controller.signal, moved: 5 })
  controller.abort()
  const error = await failure(moving)
  t.is(error.name, 'AbortError')
  t.true(error.bytes >= 1005)
  t.is(near.writableCorked, 0)
})

test('a signal that was aborted while something was waited for stops it at once', async (t) => {
  const to = sink(t)
  const error = await failure(move(job(source(t, bytes), to, { moved: 5, signal: AbortSignal.abort() })))
  t.like(error, { name: 'AbortError', bytes: 5 })
  t.is(content(to).length, 0)
})

test('a stream that is closed stops it, and the error says whose', async (t) => {
  for (const [end, side] of [
    ['reader', 'source'],
    ['writer', 'sink'],
  ] as const) {
    const stream = new PassThrough()
    stream.on('error', () => undefined)
    const { moving } = await midway(t, { [end]: stream })
    stream.destroy(new Error('why'))
    const error = await failure(moving)
    t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', side })
    t.is((error.cause as Error).message, 'why')
  }
})

test('a descriptor that would hold up the engine is told apart, before anything moves', async (t) => {
  const error = await t.throwsAsync<Declined>(move(job(opened(t, '/dev/zero'), sink(t))), {
    instanceOf: Declined,
  })
  t.is(error.reason, 'BLOCKING')
})

test('a source that is too short is told with what it had', (t) => {
  t.like(truncated(10, 20), {
    code: 'ERR_ZCIO_SOURCE_TRUNCATED',
    message: 'the file ended after 10 of the 20 bytes that the head declares',
    bytes: 10,
    side: 'source',
  })
})
