// The stream between source and sink: how much it takes, and what it leaves.

import test from 'ava'
import fc from 'fast-check'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Meter } from '#src/meter.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'

const bytes = pattern(10_000)

test('of any pieces it takes exactly the length, and the rest stays in the source', async (t) => {
  const cuts = fc.array(fc.nat(bytes.length), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(cuts, fc.nat(bytes.length + 10), fc.boolean(), async (places, length, objectMode) => {
      const edges = [0, ...places.sort((a, b) => a - b), bytes.length]
      const pieces = edges.slice(1).map((edge, at) => bytes.subarray(edges[at], edge))
      const source = Readable.from(
        pieces.filter((piece) => piece.length > 0),
        { objectMode },
      )
      const meter = new Meter(source, { length })
      const taken = await buffer(meter)
      t.is(sha256(taken), sha256(bytes.subarray(0, length)))
      t.is(meter.taken, taken.length)
      t.is(sha256(await buffer(source)), sha256(bytes.subarray(length)))
    }),
    { numRuns: 50 },
  )
})

test('it takes only what is asked for', async (t) => {
  let reads = 0
  const source = new Readable({
    highWaterMark: 10,
    read() {
      reads += 1
      this.push(bytes.subarray(0, 10))
    },
  })
  const meter = new Meter(source, {})
  await new Promise(setImmediate)
  t.is(meter.taken, 0)
  t.true(reads <= 2, 'the source reads ahead, by its own measure')
  const iterator = meter[Symbol.asyncIterator]()
  await iterator.next()
  t.true(meter.taken <= 20)
  await iterator.return?.()
  t.false(source.destroyed)
})

test('of a length of 0 nothing is even read', async (t) => {
  const source = new Readable({
    read: () => {
      t.fail()
    },
  })
  t.is((await buffer(new Meter(source, { length: 0 }))).length, 0)
})

test('it fails as its source fails, ends as it ends, and leaves it alone when it is destroyed', async (t) => {
  const failing = new PassThrough()
  const meter = new Meter(failing, {})
  failing.destroy(new Error('broken'))
  t.is((await failure(buffer(meter))).message, 'broken')
  t.true(meter.sourceFailed)

  const closing = new PassThrough()
  const early = new Meter(closing, {})
  closing.destroy()
  t.is((await failure(buffer(early))).code, 'ERR_STREAM_PREMATURE_CLOSE')

  const left = new PassThrough()
  const before = left.eventNames().length
  const gone = new Meter(left, {})
  gone.destroy()
  await new Promise((resolve) => gone.once('close', resolve))
  t.false(left.destroyed)
  t.false(gone.sourceFailed)
  t.is(left.eventNames().length, before)
})

test('what is no bytes is an error, and not the end of the process', async (t) => {
  const meter = new Meter(Readable.from([1]), {})
  t.is((await failure(buffer(meter))).code, 'ERR_INVALID_ARG_TYPE')
  t.true(meter.sourceFailed)
})

test('it keeps what was taken until it is accepted, be that in the middle of a piece', async (t) => {
  const moves: number[] = []
  const source = new PassThrough()
  const meter: Meter = new Meter(source, {
    head: bytes.subarray(0, 10),
    onMove: () => moves.push(meter.accepted),
  })
  meter.resume()
  for (const at of [10, 20]) {
    source.write(bytes.subarray(at, at + 10))
    await new Promise(setImmediate)
  }
  t.is(meter.taken, 30)
  for (const [known, accepted] of [
    [0, 0],
    [10, 10],
    [5, 10],
    [25, 25],
    [1000, 30],
  ] as const) {
    meter.accept(known)
    t.is(meter.accepted, accepted)
    t.deepEqual(meter.rest, bytes.subarray(accepted, 30))
  }
  t.deepEqual(moves, [0, 0, 10, 25, 30])
})
