// Whenever a fan-out is aborted, every sink has a beginning of the source, and the source what the slowest has not.

import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { fanOut } from 'zcio'
import { failure } from '../helpers/failures.js'
import { pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'

const content = pattern(6 << 20)

/** How much each of three sinks has taken when it is aborted. */
const moments = fc.tuple(
  ...[1, 2, 3].map(() =>
    fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 70_000 }), fc.integer({ min: 1, max: 1 << 20 })),
  ),
)

async function abortAt(t: ExecutionContext, after: number[]): Promise<void> {
  const [source, origin] = await sockets(t)
  const pairs = await Promise.all(after.map(() => sockets(t)))
  const abort = new AbortController()
  const sinks = pairs.map(([sink]) => sink)
  const over = failure(fanOut(source, sinks, { end: false, signal: abort.signal }))
  // It does not end before: the sockets may hold all of it, what Linux lends one that is read from grows so far.
  origin.write(content)
  const first = await Promise.all(pairs.map(([, peer], at) => take(peer, after[at] ?? 0)))
  abort.abort()
  const error = await over
  t.is(error.name, 'AbortError')
  t.is(error.residual, undefined, 'the source lives, and has it back')
  for (const [sink] of pairs) sink.end()
  const rest = await Promise.all(pairs.map(([, peer]) => received(peer)))
  const lengths = rest.map((bytes, at) => bytes.length + (after[at] ?? 0))
  t.deepEqual(
    lengths,
    sinks.map((sink) => sink.bytesWritten),
  )
  t.is(error.bytes, Math.min(...lengths))
  rest.forEach((bytes, at) => {
    const all = Buffer.concat([first[at] ?? bytes, bytes])
    t.is(sha256(all), sha256(content.subarray(0, all.length)))
  })
  const left = received(source)
  origin.end()
  t.is(sha256(await left), sha256(content.subarray(error.bytes)))
}

test('nothing is lost and nothing comes twice, whenever it is aborted', async (t) => {
  await fc.assert(
    fc.asyncProperty(moments, (after) => abortAt(t, after)),
    { numRuns: 30 },
  )
})
