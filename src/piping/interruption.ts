// While the engine moves bytes from a stream to its destination: what JavaScript may do to either that means the
// bytes should stop where they are, so that Node goes on from there.

import type { Readable, Writable } from 'node:stream'
import { replace } from '../endpoint/replace.js'

/** Calls `stop` when JavaScript calls one of these methods, and then the method. Returns how to stop watching. */
export function watchCalls(
  stream: Readable | Writable,
  names: readonly string[],
  stop: () => void,
): () => void {
  const restores = names.map((name) => {
    const method = Reflect.get(stream, name) as (...args: unknown[]) => unknown
    return replace(stream, name, (...args: unknown[]) => {
      stop()
      return method.apply(stream, args)
    })
  })
  return () => {
    // The last first: V8 then has the stream as it was.
    for (const restore of restores.reverse()) restore()
  }
}

/** Calls `stop` when one of the streams is wanted otherwise. Returns how to stop watching. */
export function watchFor(source: Readable, sink: Writable, stop: () => void): () => void {
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
