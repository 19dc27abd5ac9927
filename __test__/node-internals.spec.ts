// Node's private fields are as zcio reads them, on the Node that runs this. Where this fails on a new version, zcio
// itself refuses and uses streams; the list in src/node-internals.ts says what to look at.

import test from 'ava'
import { once } from 'node:events'
import fs, { createReadStream, readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import {
  awaitsDrain,
  declaredLength,
  descriptorOf,
  internals,
  markDidRead,
  markHeadSent,
  pendingHead,
  pipesOf,
  pipingInternals,
  readsDescriptor,
  refreshTimeout,
} from '#src/node-internals.js'
import { capabilities } from 'zcio'
import { makeFile, pathFor } from './helpers/files.js'

function response(headers = {}): ServerResponse {
  const req = new IncomingMessage(new Socket())
  Object.assign(req, { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 })
  return new ServerResponse(req).writeHead(200, headers)
}

test("this version of Node is as zcio's shortcuts expect, and capabilities() says so", (t) => {
  t.true(internals)
  t.true(capabilities().nodeInternals)
})

for (const address of [{ port: 0, host: '127.0.0.1' }, { path: pathFor('socket') }]) {
  test(`a connected ${'path' in address ? 'unix' : 'TCP'} socket has a descriptor, until it is destroyed`, async (t) => {
    const server = createServer((socket) => socket.resume()).listen(address)
    await once(server, 'listening')
    const socket = connect('path' in address ? address : { port: (server.address() as AddressInfo).port })
    await once(socket, 'connect')
    t.regex(readlinkSync(`/proc/self/fd/${descriptorOf(socket)}`), /^socket:/)
    socket.destroy()
    t.is(descriptorOf(socket), -1)
    server.close()
  })
}

test('a socket that is not connected has none', (t) => {
  t.is(descriptorOf(new Socket()), -1)
})

test('an idle timeout can be told that bytes are moving', async (t) => {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const socket = connect({ port: (server.address() as AddressInfo).port })
  await once(socket, 'connect')
  let fired = false
  socket.setTimeout(300, () => (fired = true))
  const started = performance.now()
  const refreshing = setInterval(() => {
    refreshTimeout(socket)
  }, 20)
  while (performance.now() - started < 900)
    await once(socket, 'x', { signal: AbortSignal.timeout(50) }).catch(() => 0)
  t.false(fired)
  clearInterval(refreshing)
  await once(socket, 'timeout')
  t.true(fired)
  socket.destroy()
  server.close()
})

test('a stream tells where it is piped, and whether it waits for a drain', (t) => {
  t.true(pipingInternals)
  const source = new Readable({ read: () => undefined })
  const sinks = [new PassThrough({ highWaterMark: 1 }), new PassThrough({ highWaterMark: 1 })] as const
  t.deepEqual([pipesOf(source), awaitsDrain(source)], [[], false])
  for (const sink of sinks) {
    sink.write('full')
    source.pipe(sink)
  }
  t.deepEqual([pipesOf(source), awaitsDrain(source)], [[...sinks], true])
  source.unpipe()
  t.deepEqual(pipesOf(source), [])
})

test('what a stream has given it can be told', (t) => {
  const source = new Readable({ read: () => undefined })
  t.false(source.readableDidRead)
  markDidRead(source)
  t.true(source.readableDidRead)
})

test("a file stream's bytes come from its descriptor, unless something else is to read them", async (t) => {
  const { path } = makeFile(10)
  const handle = await open(path)
  t.true(readsDescriptor(createReadStream(path)))
  t.true(readsDescriptor(handle.createReadStream({ autoClose: false })))
  const others = { open: fs.open, close: fs.close, read: (): void => undefined }
  t.false(readsDescriptor(createReadStream(path, { fs: others })))
  Object.assign(handle, { read: () => Promise.resolve() })
  t.false(readsDescriptor(handle.createReadStream({ autoClose: false })))
  await handle.close()
})

test('a composed head is pending until it has been sent', (t) => {
  const req = new IncomingMessage(new Socket())
  const res = new ServerResponse(req)
  t.is(pendingHead(res), undefined)
  res.writeHead(207, 'Odd', { 'X-Test': 'ä', 'Content-Length': 3 })
  const head = pendingHead(res) ?? ''
  t.true(head.startsWith('HTTP/1.1 207 Odd\r\nX-Test: ä\r\nContent-Length: 3\r\n'))
  t.true(head.endsWith('\r\n\r\n'))
  markHeadSent(res)
  t.is(pendingHead(res), undefined)
})

test('what a composed head declares is known', (t) => {
  t.is(declaredLength(response({ 'Content-Length': 12 })), 12)
  t.is(Number(declaredLength(response({ 'content-length': '12' }))), 12)
  t.is(declaredLength(response({ 'Content-Length': 0 })), 0)
  t.is(declaredLength(response()), undefined)
})
