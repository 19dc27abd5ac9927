// How much of what a stream was given has been accepted: some streams count it, to the byte, also of a write that is
// still under way or has failed.

import { fstatSync, WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { bytesSent } from '../node-internals.js'
import type { FileStream } from './file.js'
import { written } from './wait.js'

/** Returns how many bytes of those that it is given from now on are known to be accepted; 0 where nobody counts. */
export function countAccepted(sink: Writable): () => number {
  if (sink instanceof WriteStream) {
    const before = sink.bytesWritten + sink.writableLength
    return () => sink.bytesWritten - before
  }
  if (!(sink instanceof Socket)) return () => 0
  const before = sink.bytesWritten
  return () => (bytesSent(sink) ?? before) - before
}

/** Whether the stream will see to what it was given. */
export function isUsable(sink: Writable): boolean {
  return !sink.destroyed && !sink.errored
}

/** Resolves when a file has what its stream was given, which is soon; at once for all else. */
export async function inFile(sink: Writable): Promise<void> {
  if (!(sink instanceof WriteStream) || !isUsable(sink)) return
  const { fd } = sink as unknown as FileStream
  try {
    if (fd !== null && fstatSync(fd).isFile()) await written(sink)
  } catch {
    // The count tells how far it came.
  }
}
