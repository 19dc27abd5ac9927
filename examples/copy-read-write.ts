// Copies a file in the classic way: read into a buffer, write the buffer. Every byte enters user space and leaves it.
//
//   node --import @oxc-node/core/register examples/copy-read-write.ts SOURCE SINK [BUFFER_SIZE]

import { closeSync, openSync, readSync, writeSync } from 'node:fs'

const [source, sink, size = '65536'] = process.argv.slice(2)
const buffer = Buffer.alloc(Number(size))
if (source === undefined || sink === undefined || buffer.length === 0) {
  console.error('usage: copy-read-write SOURCE SINK [BUFFER_SIZE]')
  process.exit(2)
}

const from = openSync(source, 'r')
const to = openSync(sink, 'wx')
let total = 0
for (let count; (count = readSync(from, buffer)) > 0; total += count) {
  // A write may take less than it was given.
  for (let written = 0; written < count;) written += writeSync(to, buffer, written, count - written)
}
closeSync(from)
closeSync(to)
console.log(`${total} bytes`)
