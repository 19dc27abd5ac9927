// The stream between source and sink: how much it takes, and what it leaves.

import test from 'ava'
import fc from 'fast-check'
import { PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Meter } from '#src/meter.js'
import { failure } from './helpers/failures.js'
import { pattern, sha256 } from './helpers/files.js'

const bytes = pattern(10_000)
const nowhere = new Writable()

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
      const meter = new Meter(source, nowhere, length)
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
  const meter = new Meter(source, nowhere, Infinity)
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
  t.is((await buffer(new Meter(source, nowhere, 0))).length, 0)
})

test('it fails as its source fails, ends as it ends, and leaves it alone when it is destroyed', async (t) => {
  const failing = new PassThrough()
  const meter = new Meter(failing, nowhere, Infinity)
  failing.destroy(new Error('broken'))
  t.is((await failure(buffer(meter))).message, 'broken')
  t.true(meter.sourceFailed)

  const closing = new PassThrough()
  const early = new Meter(closing, nowhere, Infinity)
  closing.destroy()
  t.is((await failure(buffer(early))).code, 'ERR_STREAM_PREMATURE_CLOSE')

  const left = new PassThrough()
  const before = left.eventNames().length
  const gone = new Meter(left, nowhere, Infinity)
  gone.destroy()
  await new Promise((resolve) => gone.once('close', resolve))
  t.false(left.destroyed)
  t.false(gone.sourceFailed)
  t.is(left.eventNames().length, before)
})

test('what is no bytes is an error, and not the end of the process', async (t) => {
  const meter = new Meter(Readable.from([1]), nowhere, Infinity)
  t.is((await failure(buffer(meter))).code, 'ERR_INVALID_ARG_TYPE')
  t.true(meter.sourceFailed)
})

test('it knows what the sink is through with, and what is still in its buffer', async (t) => {
  const waiting: (() => void)[] = []
  const sink = new Writable({
    highWaterMark: 100_000,
    write: (_chunk, _encoding, done) => void waiting.push(done),
  })
  const source = new PassThrough()
  const meter = new Meter(source, sink, Infinity)
  const piping = pipeline(meter, sink)
  for (const [index, expected] of [0, 10, 20].entries()) {
    source.write(bytes.subarray(0, 10))
    await new Promise(setImmediate)
    meter.look()
    t.is(meter.taken, (index + 1) * 10)
    t.is(meter.bytes, expected)
    waiting.shift()?.()
  }
  source.end()
  await piping
  t.is(meter.taken, 30)
})
