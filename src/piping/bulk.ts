// When a socket is worth a run of the engine: once it has brought so much that a run costs less than what it saves. Short
// connections, and the small messages of long ones, stay Node's.

import type { Socket } from 'node:net'

/**
 * What Node moves of a socket before the engine takes over. A run costs some 100 µs to start and to end, as much as
 * Node's way of so many bytes; so no connection costs more than twice what the better way would have.
 */
export const BULK = 128 * 1024

/** What each had brought when the engine last gave it back. */
const counted = new WeakMap<Socket, number>()

/** Whether a socket has brought little since it was connected, or since the engine gave it back. */
export function isTrickle(socket: Socket): boolean {
  return socket.bytesRead - (counted.get(socket) ?? 0) < BULK
}

/** What interrupts a run may do so again: first the socket has to bring as much once more. */
export function countAnew(socket: Socket): void {
  counted.set(socket, socket.bytesRead)
}
