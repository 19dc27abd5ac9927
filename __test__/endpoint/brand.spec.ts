// Streams of Node's brand that read or write in a way of their own: they are Node's, whoever asks.

import test, { type ExecutionContext } from 'ava'
import fs, { createReadStream, createWriteStream, readFileSync, ReadStream, WriteStream } from 'node:fs'
import { Socket } from 'node:net'
import { pipeline as pipelineByNode } from 'node:stream/promises'
import { fanOut, pipeline, plan, transfer } from 'zcio'
import { registerReadStream } from '#src/register/read-stream.js'
import { registerSocket } from '#src/register/socket.js'
import { content, sink, source } from '../helpers/descriptors.js'
import { makeFile, pathFor } from '../helpers/files.js'
import { received, sockets } from '../helpers/sockets.js'

/** More than what pipes leave to Node in any case. */
const text = 'plain '.repeat(50_000)
const { path, bytes } = makeFile(Buffer.from(text))

class OwnRead extends ReadStream {
  override _read(): void {
    this.push('own')
    this.push(null)
  }
}

class OwnWrite extends WriteStream {
  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    super._write(Buffer.from(String(chunk).toUpperCase()), encoding, done)
  }
}

/** What gives other bytes than its descriptor has: why it is not the kernel's, and what it gives. */
const sources: Record<string, [code: string, gives: string, make: () => ReadStream]> = {
  'an fs of its own': [
    'FS',
    'virtual',
    () => {
      const rest = ['virtual']
      type Done = (error: null, bytes: number, buffer: Buffer) => void
      const read = (
        _: number,
        buffer: Buffer,
        offset: number,
        ...[, , done]: [number, number, Done]
      ): void => {
        done(null, buffer.write(rest.pop() ?? '', offset), buffer)
      }
      return createReadStream(path, { fs: { open: fs.open, close: fs.close, read } })
    },
  ],
  'a _read of its own': ['OVERRIDDEN', 'own', () => Reflect.construct(OwnRead, [path]) as OwnRead],
  'a push of its own': ['OVERRIDDEN', text.toUpperCase(), () => shouting(createReadStream(path))],
}

/** What writes other bytes than it is given. */
const sinks: Record<string, [code: string, make: (path: string) => WriteStream]> = {
  'a _write of its own': ['WRAPPED', (path) => Reflect.construct(OwnWrite, [path]) as OwnWrite],
  'a write of its own': [
    'WRAPPED',
    (path) => {
      const stream = createWriteStream(path)
      const write = stream.write.bind(stream) as (chunk: Buffer, ...rest: unknown[]) => boolean
      const own = (chunk: Buffer, ...rest: unknown[]): boolean => write(upper(chunk), ...rest)
      return Object.assign(stream, { write: own })
    },
  ],
  'an fs of its own': [
    'FS',
    (path) => {
      const write = (fd: number, chunk: Buffer, ...rest: [number, number, number, () => void]): void => {
        fs.write(fd, upper(chunk), ...rest)
      }
      return createWriteStream(path, { fs: { open: fs.open, close: fs.close, write, writev: fs.writev } })
    },
  ],
}

function upper(chunk: Buffer): Buffer {
  return Buffer.from(String(chunk).toUpperCase())
}

function shouting<S extends ReadStream | Socket>(stream: S): S {
  const push = stream.push.bind(stream)
  return Object.assign(stream, { push: (chunk: Buffer | null) => push(chunk && upper(chunk)) })
}

for (const [what, [code, gives, make]] of Object.entries(sources)) {
  test(`a ReadStream with ${what} gives what it gives Node`, async (t) => {
    const [byNode, one, two] = [pathFor('sink'), sink(t), sink(t)]
    await pipelineByNode(make(), createWriteStream(byNode))
    t.is(readFileSync(byNode, 'utf8'), gives)
    t.like(plan(make(), one), { refused: [{ code }] })
    const { fallbacks } = await transfer(make(), one)
    t.deepEqual(fallbacks, [{ mechanism: 'reflink', code }])
    t.is(String(content(one)), gives)
    t.deepEqual((await fanOut(make(), [two])).fallbacks, [{ mechanism: 'splice', code }])
    t.is(String(content(two)), gives)
  })
}

for (const [what, [code, make]] of Object.entries(sinks)) {
  test(`a WriteStream with ${what} writes what it writes for Node`, async (t) => {
    const ways = {
      transfer: (to: WriteStream) => transfer(source(t, bytes), to),
      fanOut: (to: WriteStream) => fanOut(source(t, bytes), [to]),
      pipeline: (to: WriteStream) => pipeline(createReadStream(path), to),
      node: (to: WriteStream) => pipelineByNode(createReadStream(path), to),
    }
    t.like(plan(source(t, bytes), make(pathFor('sink'))), { refused: [{ code }] })
    for (const [way, move] of Object.entries(ways)) {
      const path = pathFor('sink')
      const result = await move(make(path))
      t.is(readFileSync(path, 'utf8'), text.toUpperCase(), way)
      if (result !== undefined) t.is(result.fallbacks[0]?.code, code)
    }
  })
}

async function readFrom(
  t: ExecutionContext,
  prepare: (socket: Socket) => unknown,
): Promise<[string, string]> {
  const [near, far] = await sockets(t)
  prepare(near)
  far.end('decoded')
  const fd = sink(t)
  const { mechanism, fallbacks } = await transfer(near, fd)
  return [fallbacks[0]?.code ?? mechanism, String(content(fd))]
}

test('a socket whose push is replaced gives what it gives Node', async (t) => {
  t.deepEqual(await readFrom(t, shouting), ['OVERRIDDEN', 'DECODED'])
})

test("a socket's own end is called, and stays its own", async (t) => {
  const [near, far] = await sockets(t)
  let calls = 0
  const endByNode = near.end.bind(near)
  const end = (): Socket => {
    calls++
    return endByNode()
  }
  Object.assign(near, { end })
  const result = await transfer(source(t, bytes), near, { end: false })
  t.is(result.fallbacks[0]?.code, 'WRAPPED')
  t.is(Reflect.get(near, 'end'), end)
  near.end()
  t.is(calls, 1)
  t.is(String(await received(far)), text)
})

test('a socket that writes in its own way below its write does so', async (t) => {
  for (const name of ['_write', '_writev', '_writeGeneric']) {
    const [near, far] = await sockets(t)
    const byNode = Reflect.get(near, name) as (...args: unknown[]) => unknown
    Object.assign(near, { [name]: (...args: unknown[]) => byNode.apply(near, args) })
    const [{ fallbacks }, came] = await Promise.all([transfer(source(t, bytes), near), received(far)])
    t.is(fallbacks[0]?.code, 'WRAPPED', name)
    t.is(String(came), text)
  }
})

test.serial("what zcio/register replaces is nobody's own", async (t) => {
  const prototypes = [ReadStream.prototype, Socket.prototype]
  const before = prototypes.map((prototype) => Reflect.get(prototype, '_read') as unknown)
  registerReadStream()
  registerSocket()
  try {
    t.not((await transfer(createReadStream(path), sink(t))).mechanism, 'stream')
    t.deepEqual(await readFrom(t, () => undefined), ['splice', 'decoded'])
  } finally {
    prototypes.forEach((prototype, at) => Reflect.set(prototype, '_read', before[at]))
  }
})
