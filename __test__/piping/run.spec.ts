import test from 'ava'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync, type ReadStream, type WriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { run, type Run } from '#src/piping/run.js'
import { tally } from '#src/piping/tally.js'
import { makeFile, pathFor } from '../helpers/files.js'
import { sockets } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

const file = makeFile(24 << 20)

async function started(
  sink: Writable,
  took?: (bytes: number) => void,
): Promise<Run & { source: ReadStream }> {
  const source = createReadStream(file.path)
  await once(source, 'open')
  const running = run({
    source,
    sink,
    job: (lent) => ({
      source: (source as unknown as { fd: number }).fd,
      sink: lent.fd,
      start: 0,
      sinkStart: lent.start,
      fallback: true,
      snapshot: false,
      isSinkSocket: false,
      socket: lent.socket,
    }),
    ...(took ? { took } : {}),
    live: true,
    stoppers: { source: ['setEncoding'], sink: ['write'] },
  })
  return { ...running, source }
}

function copy(): { sink: WriteStream; path: string } {
  const path = pathFor('copy')
  return { sink: createWriteStream(path), path }
}

test.serial(
  'a run moves all there is, keeps the books of both streams, and leaves the sink as it was',
  async (t) => {
    const { sink, path } = copy()
    const before = tally()
    let told = 0
    const { ended, source } = await started(sink, (bytes) => (told += bytes))
    t.deepEqual(await ended, { bytes: file.bytes.length })
    t.deepEqual([told, sink.bytesWritten], [file.bytes.length, file.bytes.length])
    t.true(source.readableDidRead)
    t.deepEqual(
      [sink.writableCorked, Object.hasOwn(sink, 'write'), Object.hasOwn(sink, 'end')],
      [0, false, false],
    )
    t.like(tally(), { runs: before.runs + 1, bytes: before.bytes + file.bytes.length })
    sink.end()
    await once(sink, 'close')
    t.true(readFileSync(path).equals(file.bytes))
  },
)

const stops: Record<string, (running: Run & { source: ReadStream }, sink: Writable) => void> = {
  'when it is told to': ({ stop }) => {
    stop()
  },
  'when the source is wanted otherwise': ({ source }) => source.setEncoding('utf8'),
  'when JavaScript writes to the sink': (_, sink) => sink.write('after'),
  'when JavaScript ends the sink': (_, sink) => sink.end(),
}

for (const [name, stop] of Object.entries(stops)) {
  test.serial(`a run stops ${name}, at a byte that it knows`, async (t) => {
    const [near, far] = await sockets(t)
    const running = await started(near)
    await until('bytes', () => near.bytesWritten > 0)
    stop(running, near)
    const { bytes, reason, error } = await running.ended
    t.is(reason, 'INTERRUPTED')
    t.is(error?.code, 'ABORT_ERR')
    t.true(bytes > 0 && bytes < file.bytes.length)
    let came = 0
    far.on('data', (chunk: Buffer) => (came += chunk.length)).resume()
    const after = name.includes('writes') ? 'after'.length : 0
    await until('what was moved, and what was written', () => came === bytes + after)
  })
}

test.serial('a sink that is gone, or not to be lent, is a failure without a byte', async (t) => {
  const [near] = await sockets(t)
  near.cork()
  t.deepEqual(await (await started(near)).ended, { bytes: 0, reason: 'FAILED' })
  near.destroy()
  t.like(await (await started(near)).ended, { bytes: 0, reason: 'FAILED' })
})
