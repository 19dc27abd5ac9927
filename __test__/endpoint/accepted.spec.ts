// What is known of a write that is under way.

import test from 'ava'
import { constants, createWriteStream, openSync } from 'node:fs'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { countAccepted, inFile, isUsable } from '#src/endpoint/accepted.js'
import { pipe } from '../helpers/descriptors.js'
import { pathFor } from '../helpers/files.js'

test('a file counts what has been written since', async (t) => {
  const sink = createWriteStream(pathFor('sink'))
  await once(sink, 'open')
  sink.write('before')
  const accepted = countAccepted(sink)
  sink.write('after')
  t.true(accepted() <= 0)
  await inFile(sink)
  t.is(accepted(), 5)
  sink.destroy()
  await inFile(sink)
  t.false(isUsable(sink))
})

test('a socket counts what the kernel has accepted since, also in the middle of a write', async (t) => {
  const between = pipe(t)
  const fd = openSync(`/proc/self/fd/${between.writer.fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
  const sink = new Socket({ fd, readable: false, writable: true })
  sink.on('error', () => undefined)
  sink.write(Buffer.alloc(100))
  const accepted = countAccepted(sink)
  sink.write(Buffer.alloc(1_000_000))
  await new Promise((resolve) => setTimeout(resolve, 50))
  await inFile(sink)
  t.is(accepted(), between.buffered - 100)
  sink.destroy()
  t.is(accepted(), 0)
})

test('of others nothing is known', (t) => {
  const sink = new PassThrough().resume()
  const accepted = countAccepted(sink)
  sink.write('some')
  t.is(accepted(), 0)
})
