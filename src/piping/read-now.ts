// A small file that Node reads, without a thread: Node's own `_read` runs, and what it asks of the file is looked for in
// memory first. A thread of its pool would cost a 4 KiB response of Express one part in fifteen.

import { read, type ReadStream } from 'node:fs'
import { setImmediate } from 'node:timers'
import { binding, unavailable } from '../binding.js'
import { pipingInternals, readingBy, readsByFs, type Read } from '../node-internals.js'
import { BULK } from './bulk.js'

/** Has Node read the next chunk: `readMore` calls its `_read`. */
export function readNow(source: ReadStream, readMore: () => void): void {
  if (pipingInternals && unavailable() === undefined && readsByFs(source))
    readingBy(source, readInMemory, readMore)
  else readMore()
}

/** `fs.read` that asks the kernel first, and tells in another turn of the event loop, as Node's does. */
const readInMemory: Read = (fd, buffer, offset, length, position, callback) => {
  const bytes = length <= BULK ? binding().readNow(fd, buffer, position ?? -1) : -1
  // An error is met again by Node, which can tell it.
  if (bytes < 0) read(fd, buffer, offset, length, position ?? null, callback)
  else setImmediate(callback, null, bytes, buffer)
}
