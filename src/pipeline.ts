// Node's own pipeline, over files and sockets that know the kernel's way for as long as it runs.

import { ReadStream } from 'node:fs'
import { Socket } from 'node:net'
import { pipeline as pipelineByNode } from 'node:stream/promises'
import { fileRead, type ReadFile } from './piping/file.js'
import { socketRead, type ReadSocket } from './piping/socket.js'

/**
 * `pipeline` of `node:stream/promises`: its signature, its events, its errors and its promise, since it is what runs.
 * Where an `fs.ReadStream` or a `net.Socket` leads straight to a socket, a child's stdin or an `fs.WriteStream`, or a
 * file to a response of HTTP/1.1 with a `Content-Length`, the kernel moves the bytes; where it may not, Node does. A
 * socket is Node's until it has brought 128 KiB.
 *
 * Two things differ. A file is sent by reference: as it is when the receiver reads it. And a file that becomes
 * shorter than its response has declared destroys the connection; the promise rejects with
 * `ERR_ZCIO_SOURCE_TRUNCATED`.
 */
export const pipeline: typeof pipelineByNode = (...args: unknown[]): Promise<never> => {
  const streams: unknown[] = Array.isArray(args[0]) ? args[0] : args
  const restores = sourcesOf(streams).map(equip)
  const running = (pipelineByNode as (...args: unknown[]) => Promise<never>)(...args)
  return running.finally(() => {
    for (const restore of restores) restore?.()
  })
}

/** All but the last stream, which is read by nobody here, and the options. */
function sourcesOf(streams: unknown[]): unknown[] {
  const last = streams.findLastIndex(
    (stream) => typeof (stream as { on?: unknown } | null)?.on === 'function',
  )
  return streams.slice(0, Math.max(0, last))
}

/** Node's `_read` of what can be read by the kernel, and what this does in its stead. */
const readers = [readerOf(ReadStream, fileRead), readerOf(Socket, socketRead)]

function readerOf<R extends ReadFile | ReadSocket>(
  { prototype }: { prototype: object },
  wrap: (byNode: R) => R,
): { byNode: unknown; byKernel: R } {
  const byNode = Reflect.get(prototype, '_read') as R
  return { byNode, byKernel: wrap(byNode) }
}

/** Gives this stream, and no other, the `_read` that knows the kernel's way; returns how to take it back. */
function equip(stream: unknown): (() => void) | undefined {
  if (!(stream instanceof ReadStream || stream instanceof Socket)) return undefined
  const own = stream as unknown as { _read?: unknown }
  // A stream that reads otherwise is left alone.
  const reader = readers.find(({ byNode }) => own._read === byNode)
  if (reader === undefined) return undefined
  const { byKernel } = reader
  Object.defineProperty(own, '_read', { value: byKernel, configurable: true, writable: true })
  return () => {
    if (own._read === byKernel) delete own._read
  }
}
