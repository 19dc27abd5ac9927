// An end that is closed before the engine has begun: its number is given to whatever is opened next, whose bytes are
// nobody's business.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { createReadStream, createWriteStream, type ReadStream, type WriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { bridge, fanOut, transfer, type BridgeProgress, type Source } from 'zcio'
import { content, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, pathFor, sha256 } from '../helpers/files.js'
import { serve } from '../helpers/http-server.js'
import { received, sockets } from '../helpers/sockets.js'
import { outcome, until } from '../helpers/wait.js'

const queue = Buffer.alloc(8 << 20, '.')
const file = makeFile(Buffer.from('wanted'))
const secret = makeFile(Buffer.from("another's"))

/** An end, and what its owner does to close it. */
interface End<T> {
  end: T
  close: () => Promise<unknown>
}

const gone = { code: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0, residual: undefined }

/** A socket that has to send what is queued first, as soon as its peer reads. */
async function stuck(t: ExecutionContext): Promise<[near: Socket, far: Socket]> {
  const [near, far] = await sockets(t)
  near.write(queue)
  return [near, far]
}

async function stream<S extends ReadStream | WriteStream | Socket>(end: S): Promise<End<S>> {
  if (!(end instanceof Socket)) await once(end, 'open')
  return { end, close: () => once(end.destroy(), 'close') }
}

async function handle(path: string, flags: string): Promise<End<{ fd: number; close(): Promise<void> }>> {
  const end = await open(path, flags)
  return { end, close: () => end.close() }
}

async function peered(t: ExecutionContext): Promise<End<Socket>> {
  const [near, far] = await sockets(t)
  far.write('wanted')
  near.resume().pause()
  await until('Node has read', () => near.readableLength > 0)
  return stream(near)
}

function reader(t: ExecutionContext): End<{ fd: number }> {
  const { reader: end, writer } = pipe(t)
  writer.close()
  return {
    end,
    close: () => {
      end.close()
      return Promise.resolve()
    },
  }
}

async function after(microtasks: number): Promise<void> {
  for (let i = 0; i < microtasks; i++) await Promise.resolve()
}

const sources: Record<string, (t: ExecutionContext) => Promise<End<Source>> | End<Source>> = {
  'a socket': peered,
  'a ReadStream': () => stream(createReadStream(file.path)),
  'a FileHandle': () => handle(file.path, 'r'),
  "a pipe's end": reader,
}

for (const [what, make] of Object.entries(sources)) {
  test.serial(`${what} that is closed while the sink is waited for is not read by its number`, async (t) => {
    const [[near, far], { end, close }] = [await stuck(t), await make(t)]
    const over = failure(transfer(end, near, { end: false }))
    await setImmediate()
    await close()
    for (let i = 0; i < 8; i++) opened(t, secret.path)
    const arrived = received(far)
    const error = await over
    t.like(error, { ...gone, residual: error.residual, side: 'source' })
    t.is(String(error.residual ?? ''), what === 'a socket' ? 'wanted' : '', 'what Node had read is not lost')
    near.end()
    t.is(sha256(await arrived), sha256(queue))
  })
}

const sinks = {
  'a socket': async (t: ExecutionContext) => stream((await sockets(t))[0]),
  'a WriteStream': () => stream(createWriteStream(pathFor('sink'))),
  'a FileHandle': () => handle(pathFor('sink'), 'w'),
}

for (const [what, make] of Object.entries(sinks)) {
  test.serial(
    `${what} that is closed while another sink is waited for is not written by its number`,
    async (t) => {
      const [[near, far], { end, close }] = [await stuck(t), await make(t)]
      const over = failure(fanOut(opened(t, file.path), [end, near], { end: false }))
      await setImmediate()
      await close()
      const others = Array.from({ length: 8 }, () => sink(t))
      const arrived = received(far)
      t.like(await over, { ...gone, side: 'sink' })
      for (const other of others) t.is(String(content(other)), '')
      near.end()
      t.is(sha256(await arrived), sha256(queue), 'and the other sink is as it was')
    },
  )
}

const calls = { transfer, fanOut: (from: Source, to: Socket) => fanOut(from, [to]) }

for (const [name, call] of Object.entries(calls)) {
  test.serial(
    `a sink that is destroyed in any microtask of ${name} is not written by its number`,
    async (t) => {
      for (let microtasks = 0; microtasks < 16; microtasks++) {
        const [near] = await sockets(t)
        const over = outcome<unknown>(call(source(t, 1000), near))
        await after(microtasks)
        near.destroy()
        const other = sink(t)
        await over
        t.is(String(content(other)), '', `after ${microtasks} microtasks`)
      }
    },
  )
}

test.serial(
  'a response that is destroyed while it waits to be sent is not written by its number',
  async (t) => {
    for (let microtasks = 0; microtasks < 16; microtasks++) {
      const others: number[] = []
      const server = await serve(t, async (res: ServerResponse) => {
        res.setHeader('Content-Length', 6)
        const over = transfer(opened(t, file.path), res)
        await after(microtasks)
        res.destroy()
        others.push(sink(t))
        return over
      })
      const client = await server.connect()
      client.request()
      await server.outcome()
      t.deepEqual(
        others.map((other) => String(content(other))),
        [''],
        `after ${microtasks} microtasks`,
      )
    }
  },
)

test.serial(
  'a FileHandle that is closed before its response has its turn is not read by its number',
  async (t) => {
    let first: ServerResponse | undefined
    const server = await serve(t, async (res) => {
      if (first === undefined) {
        first = res
        return { bytes: 0, mechanism: 'stream', fallbacks: [] }
      }
      const { end, close } = await handle(file.path, 'r')
      res.setHeader('Content-Length', 6)
      const over = transfer(end, res)
      await close()
      for (let i = 0; i < 8; i++) opened(t, secret.path)
      first.end()
      return over
    })
    const client = await server.connect()
    client.request()
    client.request()
    await client.answer()
    t.like((await server.outcome(1)).error, { ...gone, side: 'source' })
    t.like(await client.answer(), { bytes: 0, complete: false })
  },
)

test.serial(
  'a socket that is destroyed while its bridge waits for the other end is nobody else',
  async (t) => {
    const [[left, near], [far, right]] = [await sockets(t), await stuck(t)]
    const server = createServer((socket) => socket.end("another's")).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    left.write('wanted')
    near.resume().pause()
    await until('Node has read', () => near.readableLength === 6)
    const over = failure(bridge(near, far, { head: Buffer.from('head, ') }))
    await setImmediate()
    await once(near.destroy(), 'close')
    const others = Array.from({ length: 8 }, () =>
      connect((server.address() as AddressInfo).port, '127.0.0.1'),
    )
    const arrived = received(right)
    const error = (await over) as unknown as Error & BridgeProgress
    t.like(error, { code: 'ERR_STREAM_PREMATURE_CLOSE', aToB: { bytes: 0 }, bToA: { bytes: 0 } })
    t.is(String(error.aToB.residual), 'head, wanted')
    t.true(far.destroyed)
    t.false(String(await arrived).includes('another'))
    for (const other of others) t.is(String(await received(other)), "another's")
  },
)
