// A child that asks for a file over many connections and reads nothing of what comes.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { serveParent } from './children.js'

/** So many more clients of the server at this port. */
export interface Stall {
  stall: number
  clients: number
}

const held: Socket[] = []

serveParent(async (message: Stall | { ask: 'release' }) => {
  if ('stall' in message) await Promise.all(Array.from({ length: message.clients }, () => ask(message.stall)))
  else await Promise.all(held.splice(0).map((socket) => once(socket.destroy(), 'close')))
  return {}
})

async function ask(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  held.push(socket)
  // It ends with a reset.
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n')
}
