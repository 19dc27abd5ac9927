// Source | Sink -> what it is. Node's own objects are recognised first, by brand; `{ fd }` is for what is left.

import { ReadStream, WriteStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { invalidType } from '../errors.js'
import { checkDescriptor, isDescriptor } from '../options.js'

/** Anything that bytes can be taken from: a descriptor or an object that has one, or any readable stream. */
export type Source = number | { readonly fd: number } | FileHandle | ReadStream | Socket | Readable

/** Anything that bytes can be given to: a descriptor or an object that has one, or any writable stream. */
export type Sink =
  number | { readonly fd: number } | FileHandle | WriteStream | Socket | ServerResponse | Writable

/** A descriptor, or what has one; -1 where that is closed by now. */
interface DescriptorKind {
  kind: 'descriptor'
  readonly fd: number
}

export type SourceKind =
  | DescriptorKind
  | { kind: 'file'; stream: ReadStream }
  | { kind: 'socket'; socket: Socket }
  | { kind: 'stream'; stream: Readable }

export type SinkKind =
  | DescriptorKind
  | { kind: 'file'; stream: WriteStream }
  | { kind: 'socket'; socket: Socket }
  | { kind: 'response'; res: ServerResponse }
  | { kind: 'stream'; stream: Writable }

const SOURCES =
  'a descriptor, a FileHandle, an object with an fd (of a pipe: pipe.reader), or a readable stream'
const SINKS =
  'a descriptor, a FileHandle, an object with an fd (of a pipe: pipe.writer), or a writable stream'

export function classifySource(source: unknown): SourceKind {
  if (source instanceof ReadStream) return { kind: 'file', stream: source }
  if (source instanceof Socket) return { kind: 'socket', socket: source }
  if (source instanceof Readable) return { kind: 'stream', stream: source }
  if (isReadable(source)) return { kind: 'stream', stream: source }
  return descriptorKind('source', source, SOURCES)
}

export function classifySink(sink: unknown): SinkKind {
  if (sink instanceof ServerResponse) return { kind: 'response', res: sink as ServerResponse }
  if (sink instanceof Socket) return { kind: 'socket', socket: sink }
  if (sink instanceof WriteStream) return { kind: 'file', stream: sink }
  if (sink instanceof Writable || isWritable(sink)) return { kind: 'stream', stream: sink }
  return descriptorKind('sink', sink, SINKS)
}

/** The stream that it is, unless it is a descriptor. */
export function streamOf(end: SourceKind | SinkKind): Readable | Writable | undefined {
  switch (end.kind) {
    case 'descriptor':
      return undefined
    case 'socket':
      return end.socket
    case 'response':
      return end.res
    case 'file':
    case 'stream':
      return end.stream
  }
}

/** Does away with a stream; old ones of other makers cannot be. */
export function destroy(stream: Readable | Writable | undefined, error?: Error): void {
  ;(stream as { destroy?: (error?: Error) => void } | undefined)?.destroy?.(error)
}

/** Streams of other makers (readable-stream, Http2ServerResponse) have the methods, not the prototype. */
function isReadable(value: unknown): value is Readable {
  return hasMethods(value, 'pipe', 'read', 'on')
}

function isWritable(value: unknown): value is Writable {
  return hasMethods(value, 'write', 'end', 'on')
}

function hasMethods(value: unknown, ...names: string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}

/** An object is asked for its number each time: one that has been closed meanwhile is another's. */
function descriptorKind(name: string, value: unknown, expected: string): DescriptorKind {
  const fd = descriptor(name, value, expected)
  if (typeof value === 'number') return { kind: 'descriptor', fd }
  const owner = value as { fd: number }
  return {
    kind: 'descriptor',
    get fd() {
      return isDescriptor(owner.fd) ? owner.fd : -1
    },
  }
}

/** The number of a descriptor, or of an object that has one. A FileHandle that is closed has -1. */
export function descriptor(name: string, value: unknown, expected = SOURCES): number {
  if (typeof value === 'number') return checkDescriptor(name, value)
  if (typeof value === 'object' && value !== null) {
    const { fd } = value as { fd?: unknown }
    if (typeof fd === 'number') return isDescriptor(fd) ? fd : checkDescriptor(`${name}.fd`, fd)
  }
  throw invalidType(name, expected, value)
}
