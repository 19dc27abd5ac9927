// Every fs.ReadStream of this thread gets a `_read` that knows the kernel's way. It replaces no other method: `pipe`,
// `pipeline` and whatever was captured or promisified of them stay Node's, and so do their events.

import { ReadStream } from 'node:fs'
import { fileRead, type ReadFile } from '../piping/file.js'

export function registerReadStream(): void {
  const prototype = ReadStream.prototype as unknown as { _read: ReadFile }
  prototype._read = fileRead(prototype._read)
}
