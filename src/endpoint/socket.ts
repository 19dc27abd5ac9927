// Borrowing a socket of Node's to write on: quiet it, wait for what is queued, lend the descriptor, give it back.
//
// While it is lent the socket is corked, so that what JavaScript writes stays behind the bytes that the engine
// moves. Destroying it ends the transfer and tells the peer at once, although the engine holds a duplicate.

import { Socket } from 'node:net'
import { descriptorOf, internals } from '../node-internals.js'

/** Why a socket has to be written by Node itself, or undefined. */
export function refusedSocket(socket: Socket): string | undefined {
  if (!internals) return 'NODE_INTERNALS'
  if ('encrypted' in socket) return 'TLS'
  if (socket.write !== Socket.prototype.write) return 'WRAPPED'
  if (socket.writableCorked > 0) return 'CORKED'
  if (!socket.connecting && descriptorOf(socket) < 0) return socket.destroyed ? undefined : 'NO_DESCRIPTOR'
  return undefined
}

/** Sockets that are lent, whose next transfer has to wait its turn. */
const lent = new WeakSet<Socket>()

/** Whether a transfer is writing on this socket. */
export function isLent(socket: Socket): boolean {
  return lent.has(socket)
}

/** Whether nothing is queued on the socket, in Node or in libuv. */
export function isQuiet(socket: Socket): boolean {
  return !socket.connecting && socket.writableLength === 0
}

/** Resolves when everything written to the socket so far has been accepted by the kernel. */
export function quiet(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    // Not 'drain', which never comes for a short write behind a full buffer.
    socket.write('', (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Keeps the socket for the engine; `onClose` is called should JavaScript destroy it. Returns how to give it back. */
export function lend(socket: Socket, onClose: () => void): () => void {
  lent.add(socket)
  socket.cork()
  socket.once('close', onClose)
  return () => {
    socket.off('close', onClose)
    lent.delete(socket)
    socket.uncork()
  }
}
