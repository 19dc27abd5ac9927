import test from 'ava'
import { PassThrough, Readable } from 'node:stream'
import { awaitsDrain, markDidRead, pipesOf } from '#src/node-internals.js'

test('a stream tells where it is piped, and whether it waits for a drain', (t) => {
  const source = new Readable({ read: () => undefined })
  const sinks = [new PassThrough({ highWaterMark: 1 }), new PassThrough({ highWaterMark: 1 })] as const
  t.deepEqual([pipesOf(source), awaitsDrain(source)], [[], false])
  for (const sink of sinks) {
    sink.write('full')
    source.pipe(sink)
  }
  t.deepEqual([pipesOf(source), awaitsDrain(source)], [[...sinks], true])
  source.unpipe()
  t.deepEqual(pipesOf(source), [])
})

test('what a stream has given it can be told', (t) => {
  const source = new Readable({ read: () => undefined })
  t.false(source.readableDidRead)
  markDidRead(source)
  t.true(source.readableDidRead)
})
