// The stream before a sink: what it says the sink has accepted, how it ends, and what it leaves.

import test from 'ava'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { PassThrough, Writable } from 'node:stream'
import { Delivery } from '#src/delivery.js'
import { pathFor, pattern } from './helpers/files.js'

const bytes = pattern(100)

/** A sink that holds each write until it is told to go on. */
function holding(highWaterMark?: number): { sink: Writable; next: (error?: Error) => void } {
  const waiting: ((error?: Error) => void)[] = []
  const write = (_chunk: Buffer, _encoding: unknown, done: () => void): void => void waiting.push(done)
  return { sink: new Writable({ highWaterMark, write }), next: (error) => waiting.shift()?.(error) }
}

/** Gives a sink 10 bytes at a time, and notes what it is known to have accepted. */
function deliver(sink: Writable, ends = true): { delivery: Delivery; accepted: number[] } {
  const accepted: number[] = []
  const delivery = new Delivery(sink, ends, (known) => accepted.push(known))
  delivery.on('error', () => undefined)
  return { delivery, accepted }
}

test('what a sink has room for it is given, and what it is through with it has accepted', async (t) => {
  const { sink, next } = holding(25)
  const { delivery, accepted } = deliver(sink)
  for (const at of [0, 10, 20, 30]) delivery.write(bytes.subarray(at, at + 10))
  await new Promise(setImmediate)
  t.is(sink.writableLength, 30, 'the third fills it')
  t.is(Math.max(...accepted), 0)
  next()
  await new Promise(setImmediate)
  t.is(Math.max(...accepted), 10)
})

test('what fails is not accepted, nor what comes after it', async (t) => {
  const { sink, next } = holding()
  const { delivery, accepted } = deliver(sink)
  for (const at of [0, 10, 20]) delivery.write(bytes.subarray(at, at + 10))
  await new Promise(setImmediate)
  next()
  next(new Error('full'))
  await new Promise((resolve) => delivery.once('close', resolve))
  await delivery.settle(false)
  t.is(Math.max(...accepted), 10)
})

test('a sink that lives on sees to what it was given; of one that does not, nobody knows', async (t) => {
  for (const livesOn of [true, false]) {
    const { sink } = holding()
    const { delivery, accepted } = deliver(sink, false)
    delivery.write(bytes)
    await new Promise(setImmediate)
    delivery.destroy()
    await delivery.settle(livesOn)
    t.is(Math.max(...accepted), livesOn ? bytes.length : 0)
    t.false(sink.destroyed)
    await once(delivery, 'close')
    t.deepEqual([sink.listenerCount('drain'), sink.listenerCount('error')], [0, 0])
  }
})

test('a file is waited for', async (t) => {
  const sink = createWriteStream(pathFor('sink'))
  await once(sink, 'open')
  const { delivery, accepted } = deliver(sink)
  delivery.write(bytes)
  delivery.destroy()
  await delivery.settle(false)
  t.is(Math.max(...accepted), bytes.length)
  sink.destroy()
})

test('of a sink that never calls back no more is waited for than it holds', (t) => {
  const silent = Object.assign(new PassThrough(), { write: () => true })
  const { delivery, accepted } = deliver(silent)
  delivery.write(bytes)
  t.is(Math.max(...accepted), bytes.length)
})

test('it has ended when the sink has, or when that has everything', async (t) => {
  for (const ends of [true, false]) {
    const { sink, next } = holding()
    const { delivery } = deliver(sink, ends)
    delivery.end(bytes)
    await new Promise(setImmediate)
    t.false(delivery.writableFinished)
    next()
    next()
    await once(delivery, 'finish')
    t.is(sink.writableFinished, ends)
  }
})

test('a sink that somebody else ends or destroys, or that throws, fails it', async (t) => {
  for (const [meddle, code] of [
    [(sink: Writable) => sink.end(), 'ERR_STREAM_PREMATURE_CLOSE'],
    [(sink: Writable) => sink.destroy(), 'ERR_STREAM_PREMATURE_CLOSE'],
    [(sink: Writable) => sink.on('error', () => undefined).destroy(new Error('its own')), undefined],
  ] as const) {
    const sink = new PassThrough().resume()
    const { delivery } = deliver(sink)
    meddle(sink)
    const [error] = (await once(delivery, 'error')) as [NodeJS.ErrnoException]
    t.is(error.code, code)
  }
  const throwing = Object.assign(new PassThrough(), {
    write: () => {
      throw new Error('thrown')
    },
  })
  const { delivery } = deliver(throwing)
  delivery.write(bytes)
  t.like((await once(delivery, 'error'))[0], { message: 'thrown' })
})
