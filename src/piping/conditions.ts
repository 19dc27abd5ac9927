// When Node reads a piped stream itself: every condition under which the kernel's way would lose bytes or change what
// an application can see, in the order in which they are asked. docs/register.md shows the same table.

import { WriteStream, type ReadStream } from 'node:fs'
import { OutgoingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { unavailable } from '../binding.js'
import { differs, hasOwnFs, isOverridden, isWrapped as isWrappedByBrand, methods } from '../endpoint/brand.js'
import { isBodyless } from '../endpoint/response.js'
import { isLent } from '../endpoint/socket.js'
import {
  awaitsDrain,
  canBeReadFrom,
  declaredLength,
  descriptorOf,
  keepsProcess,
  pipesOf,
  pipingInternals,
} from '../node-internals.js'
import { BULK, isFirst, isShort, isTrickle } from './bulk.js'
import type { Look } from './look.js'

/** A stream that Node asks for more, and where it is piped to. */
export interface Joint {
  source: ReadStream | Socket
  sink: Writable
}

/** A file stream whose file has been looked at. */
export interface Looked extends Joint {
  source: ReadStream
  look: Look
}

interface Condition<J> {
  /** Why, in words: `Node reads where …`. */
  where: string
  is: (joint: J) => boolean
  /** It may be gone as soon as Node has done what it is doing: worth another look. */
  passes?: true
  /** All that is wanted of a file is little, or may be. */
  isLittle?: true
}

/** As Node made them, of the class that has them: who replaces one, on the heir too, wants to see the bytes. */
const responding = methods(OutgoingMessage.prototype, 'write', 'end')

/** Asked of the two streams. */
const streamConditions = {
  NOT_PIPED: {
    where: 'the stream is not piped, or to more than one destination',
    is: ({ source }) => pipesOf(source).length !== 1,
  },
  TRICKLE: {
    where:
      'it is a socket that has not brought 128 KiB since it was connected, or since the kernel gave it back',
    is: ({ source }) => source instanceof Socket && isTrickle(source),
  },
  SHORT: {
    where: 'of the range of a file that is wanted, not more than 128 KiB are left',
    is: ({ source }) => isFile(source) && isShort(source),
    isLittle: true,
  },
  FIRST: {
    where: 'nothing of a file has been read, and it has no wanted end: most are read in one go',
    is: ({ source }) => isFile(source) && isFirst(source),
    isLittle: true,
  },
  LISTENER: {
    where: "somebody else listens to its 'data' or 'readable'",
    is: ({ source }) => source.listenerCount('data') !== 1 || source.listenerCount('readable') > 0,
  },
  ENCODING: {
    where: 'it has an encoding or is in object mode',
    is: ({ source }) => source.readableEncoding !== null || source.readableObjectMode,
  },
  OVERRIDDEN: {
    where: 'its `push`, `read` or `emit`, or by a subclass its `_read`, is not Node’s',
    is: ({ source }) => isOverridden(source),
  },
  FS: {
    where: 'one of the two was given an `fs` of its own to read or write with',
    is: ({ source, sink }) => hasOwnFs(source) || hasOwnFs(sink),
  },
  UNREF: {
    where: 'a socket does not keep the process alive (`unref()`)',
    is: ({ source }) => source instanceof Socket && !keepsProcess(source),
  },
  SINK: {
    where:
      'the destination is anything but a `net.Socket`, an `fs.WriteStream` or, of a file, a `ServerResponse`: a transform, a compressor, a response of HTTP/2',
    is: ({ source, sink }) =>
      !(sink instanceof Socket || sink instanceof WriteStream || isAnswer(source, sink)),
  },
  UNSUPPORTED: {
    where: 'this is not Linux, there is no binary, or `--permission` or `--no-addons` forbids it',
    is: () => !pipingInternals || unavailable() !== undefined,
  },
  ENDED: {
    where: 'the destination has ended or was destroyed',
    is: ({ sink }) => sink.destroyed || sink.writableEnded,
  },
  QUEUED: {
    where: 'the response is to a pipelined request whose turn has not come',
    is: ({ sink }) => sink instanceof ServerResponse && sink.socket === null,
  },
  TLS: {
    where: 'one of the two is encrypted',
    is: ({ source, sink }) => 'encrypted' in source || 'encrypted' in (socketOf(sink) ?? {}),
  },
  BUSY: {
    where: 'another transfer is writing to it',
    is: ({ sink }) => isLent(sink) || isLent(socketOf(sink) ?? sink),
  },
  DESCRIPTOR: {
    where: 'one of the two has no descriptor of its own or is a terminal, or an HTTP parser reads it',
    is: ({ source, sink }) =>
      isParsed(source) || hasNoDescriptor(socketOf(source)) || hasNoDescriptor(socketOf(sink)),
  },
  WRAPPED: {
    where: 'its `write` or `end`, or what these call, is not Node’s: compression, a meter, a subclass',
    is: ({ sink }) => isWrapped(sink),
  },
  STRICT: {
    where: 'the response counts its bytes (`strictContentLength`)',
    is: ({ sink }) => sink instanceof ServerResponse && sink.strictContentLength,
  },
  NO_LENGTH: {
    where: 'the response declares no `Content-Length`, or is sent in chunks',
    is: ({ sink }) => sink instanceof ServerResponse && promised(responseOf(sink)) === undefined,
  },
  NO_BODY: {
    where: 'the response has no body: to HEAD, 204, 304',
    is: ({ sink }) => sink instanceof ServerResponse && isBodyless(sink as ServerResponse),
  },
  CORKED: {
    where: 'the destination is corked',
    is: ({ sink }) => sink.writableCorked > 0,
    passes: true,
  },
  BUFFERED: {
    where: 'the stream holds bytes that were read before',
    is: ({ source }) => source.readableLength > 0,
    passes: true,
  },
  PAUSED: {
    where: 'it is paused, and not only until its destination has drained',
    is: ({ source }) => source.readableFlowing !== true && !awaitsDrain(source),
  },
} satisfies Record<string, Condition<Joint>>

/** Asked of the file. */
const fileConditions = {
  NOT_A_FILE: {
    where: 'what it reads is not a regular file',
    is: ({ look }) => !look.isFile,
  },
  SMALL: {
    where: 'not more than 128 KiB are left of it',
    is: ({ look }) => look.left <= BULK,
    isLittle: true,
  },
  LENGTH: {
    where: 'the response does not declare exactly the rest of the file, or of its wanted range',
    is: ({ source, sink, look }) =>
      sink instanceof ServerResponse &&
      (look.at === undefined || promised(responseOf(sink)) !== source.bytesRead + look.left),
  },
  COLD: {
    where:
      'the head is not sent and the first byte not in memory: an error could still become another answer',
    is: ({ sink, look }) => sink instanceof ServerResponse && !sink.headersSent && !look.isResident,
  },
} satisfies Record<string, Condition<Looked>>

/** Met on the way. */
const endings = {
  INTERRUPTED: {
    where:
      'midway: `pause()`, `unpipe()`, a second destination, another listener, `write()` or `end()` on the destination; of a socket also `setEncoding()`, `setTimeout()`, `unref()`',
  },
  FAILED: { where: 'midway: the kernel refuses; Node goes on at the exact byte, and tells what it meets' },
}

/** Why Node read, and not the kernel. */
export type Reason = keyof typeof streamConditions | keyof typeof fileConditions | keyof typeof endings

/** All conditions, in words. */
export const CONDITIONS: Readonly<Record<Reason, { where: string }>> = {
  ...streamConditions,
  ...fileConditions,
  ...endings,
}

const ofStreams = Object.entries(streamConditions) as [Reason, Condition<Joint>][]
const ofFiles = Object.entries(fileConditions) as [Reason, Condition<Looked>][]

/** Why Node has to read for these streams, as they are now. */
export function refused(joint: Joint): Reason | undefined {
  return first(ofStreams, joint)
}

/** Why Node has to read this file, once it has been looked at. */
export function refusedFile(joint: Looked): Reason | undefined {
  return first(ofFiles, joint)
}

/** Whether it is worth asking again when Node has done what it is doing. */
export function passes(reason: Reason): boolean {
  return (CONDITIONS[reason] as Condition<Joint>).passes === true
}

/** Whether what Node is to read is better read without a thread, where it is in memory. */
export function isLittle(reason: Reason): boolean {
  return (CONDITIONS[reason] as Condition<Joint>).isLittle === true
}

function first<J>(conditions: [Reason, Condition<J>][], joint: J): Reason | undefined {
  for (const [reason, { is }] of conditions) if (is(joint)) return reason
  return undefined
}

function isFile(source: ReadStream | Socket): source is ReadStream {
  return !(source instanceof Socket)
}

function isParsed(source: ReadStream | Socket): boolean {
  return source instanceof Socket && !canBeReadFrom(source)
}

function isAnswer(source: ReadStream | Socket, sink: Writable): boolean {
  return isFile(source) && sink instanceof ServerResponse
}

function socketOf(stream: Readable | Writable): Socket | null {
  return stream instanceof Socket ? stream : stream instanceof ServerResponse ? stream.socket : null
}

/** A socket that is still connecting has no descriptor yet, which can be waited for. */
function hasNoDescriptor(socket: Socket | null): boolean {
  if (socket === null) return false
  return (!socket.connecting && descriptorOf(socket) < 0) || (socket as { isTTY?: boolean }).isTTY === true
}

function isWrapped(sink: Writable): boolean {
  if (sink instanceof ServerResponse && differs(sink, responding)) return true
  const stream = sink instanceof WriteStream ? sink : socketOf(sink)
  return stream !== null && isWrappedByBrand(stream)
}

/** A response as its sink; Node's brand knows it, its type does not say of what request. */
function responseOf(sink: Writable): ServerResponse | undefined {
  return sink instanceof ServerResponse ? (sink as ServerResponse) : undefined
}

/** What the head declares, or will. */
function promised(res: ServerResponse | undefined): number | undefined {
  if (res === undefined) return undefined
  if (!res.headersSent && res.hasHeader('transfer-encoding')) return undefined
  const declared = res.headersSent ? declaredLength(res) : res.getHeader('content-length')
  return declared === undefined ? undefined : Number(declared)
}
