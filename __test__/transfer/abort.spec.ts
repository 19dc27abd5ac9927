// Progress, and stopping at any point: what was reported is what the sink has, and the rest can follow.

import test from 'ava'
import { once } from 'node:events'
import fc from 'fast-check'
import { createReadStream, createWriteStream, fstatSync, truncateSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { transfer, type ProgressReport } from 'zcio'
import { content, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, memory, pathFor, pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'
import { outcome, until } from '../helpers/wait.js'

const MIB = 2 ** 20
const size = 16 * MIB
const bytes = pattern(size)
const file = makeFile(bytes)

for (const family of ['tcp', 'unix'] as const) {
  for (const snapshot of [false, true]) {
    const how = snapshot ? 'copied' : 'by reference'
    test(`a file to a ${family} socket, ${how}, stopped anywhere, goes on where it stopped`, async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(4 * MIB), fc.nat(MIB), async (start, read) => {
          const [near, far] = await sockets(t, family)
          const controller = new AbortController()
          const from = source(t, bytes)
          const stopped = failure(
            transfer(from, near, { start, snapshot, end: false, signal: controller.signal }),
          )
          const first = await take(far, read)
          controller.abort()
          const error = await stopped
          t.like(error, { name: 'AbortError', code: 'ABORT_ERR', residual: undefined })
          t.true(error.bytes >= read)
          t.true(error.bytes < size - start)
          near.write('|')
          const stop = start + error.bytes
          const rest = transfer(from, near, { start: stop, snapshot })
          const expected = [bytes.subarray(start, stop), Buffer.from('|'), bytes.subarray(stop)]
          t.is(sha256(Buffer.concat([first, await received(far)])), sha256(Buffer.concat(expected)))
          t.is((await rest).bytes, size - stop)
        }),
        { numRuns: 4 },
      )
    })
  }
}

test('a copy stopped anywhere has what was reported, and goes on where it stopped', async (t) => {
  const large = 96 * MIB
  const { path } = makeFile(pattern(MIB), 'source', memory())
  truncateSync(path, large)
  await fc.assert(
    fc.asyncProperty(fc.nat(40), fc.boolean(), async (delay, byStreams) => {
      const path2 = pathFor('sink', memory())
      const controller = new AbortController()
      const to = createWriteStream(path2)
      await once(to, 'open')
      const moving = outcome(
        transfer(byStreams ? createReadStream(path) : opened(t, path), to, { signal: controller.signal }),
      )
      await sleep(delay)
      controller.abort()
      const { value, error } = await moving
      const moved = value?.bytes ?? (error as unknown as { bytes: number }).bytes
      if (value === undefined) t.is(error?.code, 'ABORT_ERR')
      const fd = opened(t, path2, 'r+')
      t.is(fstatSync(fd).size, moved)
      await sleep(20)
      t.is(fstatSync(fd).size, moved, 'nothing comes after the promise has rejected')
      await transfer(opened(t, path), fd, { start: moved, sinkStart: moved, length: MIB })
      t.is(fstatSync(fd).size, Math.min(moved + MIB, large))
      t.is(sha256(content(fd).subarray(0, MIB)), sha256(pattern(MIB)))
      truncateSync(path2, 0)
    }),
    { numRuns: 6 },
  )
})

test('an abort that comes too late changes nothing', async (t) => {
  const controller = new AbortController()
  const to = sink(t)
  await transfer(source(t, bytes), to, { signal: controller.signal })
  controller.abort()
  await sleep(10)
  t.is(sha256(content(to)), sha256(bytes))
})

test('one signal stops all that it was given to', async (t) => {
  const controller = new AbortController()
  const moving = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const [near] = await sockets(t)
      return failure(transfer(source(t, bytes), near, { signal: controller.signal }))
    }).map(async (made) => [await Promise.race([made, sleep(30, undefined)]), made] as const),
  )
  controller.abort()
  for (const [early, late] of moving) {
    t.is(early, undefined)
    t.is((await late).name, 'AbortError')
  }
})

/** What was taken from a pipe cannot be read again: it comes with the error. */
test('what was taken from a pipe and not accepted is handed back', async (t) => {
  const [from, to] = [pipe(t), pipe(t)]
  const whole = pattern(300_000)
  const controller = new AbortController()
  const feeding = outcome(transfer(source(t, whole), from.writer, { signal: controller.signal }))
  const moving = failure(transfer(from.reader, to.writer, { signal: controller.signal }))
  while (to.buffered < to.capacity) await sleep(5)
  await sleep(20)
  controller.abort()
  const { bytes: moved, residual = Buffer.alloc(0) } = await moving
  const sent = ((await feeding).error as unknown as { bytes: number }).bytes
  t.is(moved, to.buffered)
  const [inSink, inSource] = [Buffer.alloc(moved), Buffer.alloc(from.buffered)]
  to.readSync(inSink)
  from.readSync(inSource)
  t.is(sha256(Buffer.concat([inSink, residual, inSource])), sha256(whole.subarray(0, sent)))
})

for (const end of [true, false]) {
  test(`an abort in any microtask of the call loses nothing that Node had read, with end: ${end}`, async (t) => {
    for (let microtasks = 0; microtasks < 16; microtasks++) {
      const [[near, far], to, controller] = [await sockets(t), sink(t), new AbortController()]
      far.write('early')
      near.resume().pause()
      await until('Node has read', () => near.readableLength === 5)
      const over = failure(transfer(near, to, { end, signal: controller.signal }))
      for (let i = 0; i < microtasks; i++) await Promise.resolve()
      controller.abort()
      const { name, bytes: moved, residual = '' } = await over
      const back = (end ? null : (near.read() as Buffer | null)) ?? ''
      t.is(name, 'AbortError')
      t.is(content(to).length, moved)
      t.is(
        `${String(content(to))}${String(residual)}${String(back)}`,
        'early',
        `after ${microtasks} microtasks`,
      )
    }
  })
}

test('progress never goes back, is exact at the end, and knows the whole where it can', async (t) => {
  for (const length of [undefined, 12 * MIB, 2 * size]) {
    const [near, far] = await sockets(t, 'unix')
    const reports: ProgressReport[] = []
    const from = createReadStream(file.path)
    const moving = transfer(from, near, {
      ...(length === undefined ? {} : { length }),
      onProgress: (report) => reports.push(report),
    })
    for (let at = 0; at < 4; at += 1) {
      await take(far, MIB)
      await sleep(60)
    }
    const arrived = received(far)
    const { bytes: moved } = await moving
    t.is((await arrived).length + 4 * MIB, moved)
    t.true(reports.length >= 3, `${reports.length} reports`)
    const counts = reports.map((report) => report.bytes)
    t.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
    )
    t.deepEqual(reports.at(-1), length === undefined ? { bytes: moved } : { bytes: moved, total: length })
  }
})
