// Every net.Socket of this thread, those of child processes and of process.stdin among them, gets a `_read` that knows the
// kernel's way. It replaces no other method.

import { Socket } from 'node:net'
import { socketRead, type ReadSocket } from '../piping/socket.js'

export function registerSocket(): void {
  const prototype = Socket.prototype as unknown as { _read: ReadSocket }
  prototype._read = socketRead(prototype._read)
}
