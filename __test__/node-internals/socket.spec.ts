import test from 'ava'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { descriptorOf, refreshTimeout } from '#src/node-internals.js'
import { pathFor } from '../helpers/files.js'

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
