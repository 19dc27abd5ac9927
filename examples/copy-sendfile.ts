// Copies a file from an offset on by sendfile(2), a chunk a call. No byte enters user space.
//
//   node --import @oxc-node/core/register examples/copy-sendfile.ts SOURCE SINK [OFFSET [CHUNK_SIZE]]

import { closeSync, openSync } from 'node:fs'
import { sendfileSync } from 'zcio'

const [source, sink, offset = '0', chunkSize = '1048576'] = process.argv.slice(2)
if (source === undefined || sink === undefined || !(Number(chunkSize) > 0)) {
  console.error('usage: copy-sendfile SOURCE SINK [OFFSET [CHUNK_SIZE]]')
  process.exit(2)
}

const from = openSync(source, 'r')
const to = openSync(sink, 'wx')
let at = Number(offset)
// A call may move less than it was asked to; 0 is the end of the file.
for (let count; (count = sendfileSync(to, from, at, Number(chunkSize))) > 0;) at += count
closeSync(from)
closeSync(to)
console.log(`${at - Number(offset)} bytes`)
