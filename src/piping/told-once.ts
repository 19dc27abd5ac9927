// What has become of a connection, where the engine was the first to ask: the kernel tells nobody after, so Node is told.

import type { Socket } from 'node:net'
import type { TransferError } from '../errors.js'

const TOLD_ONCE: readonly unknown[] = ['ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN']

/** Destroys a socket, as Node would, with an error that Node cannot meet any more. Any other it is left to meet. */
export function passOn(error: Partial<TransferError>, socket: Socket, syscall: 'read' | 'write'): void {
  const { errno, code = '' } = error
  if (!TOLD_ONCE.includes(code)) return
  socket.destroy(Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall }))
}
