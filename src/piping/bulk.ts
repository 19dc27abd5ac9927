// When a stream is worth a run of the engine: once it is known to bring so much that a run costs less than what it saves.
// Short connections, the small messages of long ones, and small files stay Node's, and cost what they cost without us.

import type { ReadStream } from 'node:fs'
import type { Socket } from 'node:net'
import { wantedOf } from './look.js'

/**
 * What Node moves of a socket before the engine takes over, and of a file where no more is left. A run costs some
 * 100 µs to start and to end, as much as Node's way of so many bytes; so nothing costs more than twice what the better
 * way would have.
 */
export const BULK = 128 * 1024

/** What each had brought when the engine last gave it back. */
const counted = new WeakMap<Socket, number>()

/** Whether a socket has brought little since it was connected, or since the engine gave it back. */
export function isTrickle(socket: Socket): boolean {
  return socket.bytesRead - (counted.get(socket) ?? 0) < BULK
}

/** Whether no more than a little of a file is wanted. */
export function isShort(file: ReadStream): boolean {
  return wantedOf(file) <= BULK
}

/** Whether a file without a wanted end is still to show that it is longer than one read: most are not. */
export function isFirst(file: ReadStream): boolean {
  return file.bytesRead === 0 && wantedOf(file) === Infinity
}

/** What interrupts a run may do so again: first the socket has to bring as much once more. */
export function countAnew(socket: Socket): void {
  counted.set(socket, socket.bytesRead)
}
