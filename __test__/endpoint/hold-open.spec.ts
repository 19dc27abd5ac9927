import test from 'ava'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readlinkSync, type ReadStream, type WriteStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { holdOpen } from '#src/endpoint/hold-open.js'
import { makeFile, pathFor } from '../helpers/files.js'

const { path } = makeFile(1000)

async function open<S extends ReadStream | WriteStream>(stream: S): Promise<[stream: S, fd: number]> {
  await once(stream, 'open')
  return [stream, (stream as unknown as { fd: number }).fd]
}

for (const make of [() => createReadStream(path), () => createWriteStream(pathFor('file'))]) {
  test(`${make().constructor.name}: what is destroyed tells so, and is closed when it is let go`, async (t) => {
    const [stream, fd] = await open(make())
    let stops = 0
    const letGo = holdOpen(stream, () => (stops += 1))
    stream.destroy(new Error('enough'))
    const failing = once(stream, 'error')
    await sleep(30)
    t.is(stops, 1)
    t.deepEqual([stream.destroyed, stream.closed], [true, false])
    t.regex(readlinkSync(`/proc/self/fd/${fd}`), /zcio-test/)
    letGo()
    const closed = once(stream, 'close').catch(() => undefined)
    t.like((await failing) as Error[], [{ message: 'enough' }])
    await closed
    t.true(stream.closed)
  })

  test(`${make().constructor.name}: what is let go is as it was`, async (t) => {
    const [stream] = await open(make())
    const keys = Object.keys(stream)
    const letGo = holdOpen(stream, () => {
      t.fail()
    })
    letGo()
    t.deepEqual(Object.keys(stream), keys)
    await once(stream.destroy(), 'close')
    t.pass()
  })
}
