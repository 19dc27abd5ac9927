import test from 'ava'
import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { countAfter, countWhile } from '#src/node-internals.js'

for (const counter of ['bytesRead', 'bytesWritten'] as const) {
  test(`a socket's ${counter} includes what moves past it, while it moves and afterwards`, async (t) => {
    const server = createServer((peer) => peer.end('12345')).listen(0)
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port)
    socket.write('12345')
    await once(socket, 'data')
    t.is(socket[counter], 5)
    let moved = 0
    const past = countWhile(socket, counter, { bytes: () => moved })
    moved = 100
    t.is(socket[counter], 105)
    countAfter(past, moved)
    moved = 200
    t.is(socket[counter], 105)
    countAfter(countWhile(socket, counter, { bytes: () => 10 }), 20)
    t.is(socket[counter], 125)
    socket.destroy()
    server.close()
  })
}

test('of a socket that has no handle nothing is counted', (t) => {
  const socket = new Socket()
  const past = countWhile(socket, 'bytesRead', { bytes: () => 7 })
  t.is(past, undefined)
  countAfter(past, 7)
  t.is(socket.bytesRead, 0)
})
