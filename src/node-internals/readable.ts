// What Node keeps of a readable stream: what it waits for, and where it is piped.

import { PassThrough, Readable, type Writable } from 'node:stream'

interface PrivateReadable {
  _readableState: {
    reading?: unknown
    ended?: unknown
    pipes?: unknown
    awaitDrainWriters?: Writable | Set<Writable> | null
    dataEmitted?: unknown
  }
}

/** Whether a stream has asked for bytes that have not come yet. */
export function isReading(stream: Readable): boolean {
  return (stream as unknown as PrivateReadable)._readableState.reading === true
}

/** Whether the end of a stream has been read, though perhaps not yet been told. */
export function hasEnded(stream: Readable): boolean {
  return (stream as unknown as PrivateReadable)._readableState.ended === true
}

/** Where a stream is piped to. */
export function pipesOf(stream: Readable): readonly Writable[] {
  return (stream as unknown as PrivateReadable)._readableState.pipes as Writable[]
}

/** Whether a stream is paused only until a destination has drained. */
export function awaitsDrain(stream: Readable): boolean {
  const { awaitDrainWriters } = (stream as unknown as PrivateReadable)._readableState
  return awaitDrainWriters instanceof Set ? awaitDrainWriters.size > 0 : (awaitDrainWriters ?? null) !== null
}

/** Tells a stream that bytes have left it: `readableDidRead`. */
export function markDidRead(stream: Readable): void {
  ;(stream as unknown as PrivateReadable)._readableState.dataEmitted = true
}

/** Whether this Node keeps it so. */
export function readableIsAsExpected(): boolean {
  const stream = new Readable({ read: () => undefined })
  const before = (stream as unknown as PrivateReadable)._readableState.reading
  stream.read(0)
  const reads = before === false && isReading(stream) && !hasEnded(stream)
  stream.push(null)
  return reads && hasEnded(stream)
}

/** Whether this Node pipes so. */
export function pipesAreAsExpected(): boolean {
  const source = new Readable({ read: () => undefined })
  const sink = new PassThrough({ highWaterMark: 1 })
  const { _readableState: state } = source as unknown as PrivateReadable
  const before = Array.isArray(state.pipes) && state.pipes.length === 0 && !awaitsDrain(source)
  sink.write('full')
  source.pipe(sink)
  const piped = pipesOf(source)[0] === sink && awaitsDrain(source)
  markDidRead(source)
  return before && piped && source.readableDidRead
}
