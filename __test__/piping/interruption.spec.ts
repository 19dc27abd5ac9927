import test from 'ava'
import { createReadStream, type ReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import { watchCalls, watchFor } from '#src/piping/interruption.js'
import { makeFile } from '../helpers/files.js'

const { path } = makeFile(1000)

function piped(): [source: ReadStream, sink: PassThrough] {
  const [source, sink] = [createReadStream(path), new PassThrough()]
  source.pipe(sink)
  return [source, sink]
}

const interruptions: Record<string, (source: ReadStream, sink: PassThrough) => void> = {
  'a pause': (source) => source.pause(),
  'an unpipe': (source, sink) => source.unpipe(sink),
  'an unpipe from all': (source) => source.unpipe(),
  'a second pipe': (source) => source.pipe(new PassThrough()),
  "a 'data' listener": (source) => source.on('data', () => undefined),
  "a 'readable' listener": (source) => source.on('readable', () => undefined),
  'a write to the destination': (_, sink) => sink.write('bytes'),
}

for (const [name, interrupt] of Object.entries(interruptions)) {
  test(`${name} stops a run`, (t) => {
    const [source, sink] = piped()
    let stops = 0
    const stop = (): void => {
      stops += 1
    }
    const unwatch = [watchFor(source, sink, stop), watchCalls(sink, ['write'], stop)]
    source.on('end', () => undefined)
    t.is(stops, 0)
    interrupt(source, sink)
    t.true(stops > 0)
    for (const end of unwatch) end()
  })

  test(`${name} stops nothing that is over, and nothing is left on the streams`, (t) => {
    const [source, sink] = piped()
    const names = [source.eventNames(), sink.eventNames(), Object.keys(sink)]
    const stop = (): void => {
      t.fail()
    }
    const unwatch = [watchFor(source, sink, stop), watchCalls(sink, ['write'], stop)]
    for (const end of unwatch) end()
    t.deepEqual([source.eventNames(), sink.eventNames(), Object.keys(sink)], names)
    interrupt(source, sink)
    t.pass()
  })
}

test('a write is made all the same, and a wrapper put on meanwhile stays', (t) => {
  const sink = new PassThrough()
  const unwatch = watchCalls(sink, ['write'], () => undefined)
  t.true(sink.write('bytes'))
  t.is(sink.readableLength, 5)
  const write = sink.write.bind(sink) as (...args: unknown[]) => boolean
  const wrapper = (...args: unknown[]): boolean => write(...args)
  sink.write = wrapper
  unwatch()
  t.is(Reflect.get(sink, 'write'), wrapper)
  t.true(sink.write('more'))
  t.is(sink.readableLength, 9)
})
