// While the engine moves bytes from a stream to its destination: what JavaScript may do to either that means the
// bytes should stop where they are, so that Node goes on from there.

import type { ReadStream } from 'node:fs'
import type { Writable } from 'node:stream'

/** Calls `stop` when JavaScript writes to the destination; what it writes goes where Node puts it. */
export function watchWrites(sink: Writable, stop: () => void): () => void {
  const own = sink as { write?: unknown }
  const write = sink.write.bind(sink) as (...args: unknown[]) => boolean
  const watching = (...args: unknown[]): boolean => {
    stop()
    return write(...args)
  }
  own.write = watching
  return () => {
    if (own.write === watching) delete own.write
  }
}

/** Calls `stop` when one of the streams is wanted otherwise. Returns how to stop watching. */
export function watchFor(source: ReadStream, sink: Writable, stop: () => void): () => void {
  const onListener = (event: string | symbol): void => {
    if (event === 'data' || event === 'readable') stop()
  }
  source.once('pause', stop)
  source.on('newListener', onListener)
  sink.once('unpipe', stop)
  return () => {
    source.off('pause', stop).off('newListener', onListener)
    sink.off('unpipe', stop)
  }
}
