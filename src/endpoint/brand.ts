// Whether a stream of Node's brand reads and writes as Node made it. Who replaces one of its methods, or gives it an `fs`
// of its own, wants to see the bytes, or has others than the descriptor: they must not go past that.

import { ReadStream, WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { readsDescriptor, writesDescriptor, writesToHandle } from '../node-internals.js'

type Methods = readonly [name: string, method: unknown][]

/** As Node made them, each of the class that has it: what an heir has of its own was put there by somebody else. */
const giving = methods(Readable.prototype, 'push', 'emit')
const reading = [...giving, ...methods(Readable.prototype, 'read')]
const receiving = [...giving, ...methods(Socket.prototype, 'read')]
const writing = [
  ...methods(Writable.prototype, 'write', 'end'),
  ...methods(WriteStream.prototype, '_write', '_writev'),
]
const write: unknown = Reflect.get(Writable.prototype, 'write')
const end: unknown = Reflect.get(Socket.prototype, 'end')

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
