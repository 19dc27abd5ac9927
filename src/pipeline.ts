// Node's own pipeline, over file streams that know the kernel's way for as long as it runs.

import { ReadStream } from 'node:fs'
import { pipeline as pipelineByNode } from 'node:stream/promises'
import { kernelRead, type Read } from './piping/read.js'

/**
 * `pipeline` of `node:stream/promises`: its signature, its events, its errors and its promise, since it is what runs.
 * Where an `fs.ReadStream` leads straight to a response of HTTP/1.1 with a `Content-Length`, a socket, a child's
 * stdin or an `fs.WriteStream`, the kernel moves the bytes; where it may not, Node does.
 *
 * Two things differ. A file is sent by reference: as it is when the receiver reads it. And a file that becomes
 * shorter than its response has declared destroys the connection; the promise rejects with
 * `ERR_ZCIO_SOURCE_TRUNCATED`.
 */
export const pipeline: typeof pipelineByNode = (...args: unknown[]): Promise<never> => {
  const restores = (Array.isArray(args[0]) ? args[0] : args).map(equip)
  const running = (pipelineByNode as (...args: unknown[]) => Promise<never>)(...args)
  return running.finally(() => {
    for (const restore of restores) restore?.()
  })
}

/** As Node made it: a stream that reads otherwise is left alone. */
const { _read: readByNode } = ReadStream.prototype as unknown as { _read: Read }
const readByKernel = kernelRead(readByNode)

/** Gives this stream, and no other, the `_read` that knows the kernel's way; returns how to take it back. */
function equip(stream: unknown): (() => void) | undefined {
  if (!(stream instanceof ReadStream)) return undefined
  const own = stream as unknown as { _read?: Read }
  if (own._read !== readByNode) return undefined
  Object.defineProperty(own, '_read', { value: readByKernel, configurable: true, writable: true })
  return () => {
    if (own._read === readByKernel) delete own._read
  }
}
