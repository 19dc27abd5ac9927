// Whether a stream of Node's brand reads and writes as Node made it. Who replaces one of its methods, or gives it an `fs`
// of its own, wants to see the bytes, or has others than the descriptor: they must not go past that.

import { ReadStream, WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { readsDescriptor, writesDescriptor, writesToHandle } from '../node-internals.js'

interface Sending {
  write: unknown
  end: unknown
}

type Methods = readonly [name: string, method: unknown][]

/** As Node made them. */
const reading = methods(Readable.prototype, 'push', 'read', 'emit')
const receiving = methods(Socket.prototype, 'push', 'read', 'emit')
const writing = methods(WriteStream.prototype, 'write', 'end', '_write', '_writev')
const sending: Sending = Socket.prototype
const { write, end } = sending

/** Why the bytes of a source are not simply those of its descriptor, or undefined. */
export function refusedBrand(source: ReadStream | Socket): 'OVERRIDDEN' | 'FS' | undefined {
  const { prototype } = source instanceof Socket ? Socket : ReadStream
  // `zcio/register` has replaced that of the prototype.
  if (isOverridden(source) || source._read !== prototype._read) return 'OVERRIDDEN'
  return hasOwnFs(source) ? 'FS' : undefined
}

/** Whether `push`, `read` or `emit` of a source is not Node's. */
export function isOverridden(source: ReadStream | Socket): boolean {
  return differs(source, source instanceof Socket ? receiving : reading)
}

/** Whether a stream was given an `fs` of its own, to read or to write with. */
export function hasOwnFs(stream: object): boolean {
  if (stream instanceof ReadStream) return !readsDescriptor(stream)
  return stream instanceof WriteStream && !writesDescriptor(stream)
}

/** Whether `write` or `end` of a sink is not Node's, or one of those that they call. */
export function isWrapped(sink: WriteStream | Socket): boolean {
  // Spelt out, since each response asks.
  if (sink instanceof Socket) return sink.write !== write || sink.end !== end || !writesToHandle(sink)
  return differs(sink, writing)
}

/** These methods, as they are now. */
export function methods(object: object, ...names: string[]): Methods {
  return names.map((name) => [name, Reflect.get(object, name) as unknown])
}

/** Whether an object has other methods than these. */
export function differs(object: object, known: Methods): boolean {
  return known.some(([name, method]) => Reflect.get(object, name) !== method)
}
