// Copies a file by the best means there is, shows how far it is, and stops on Ctrl-C.
//
//   node --import @oxc-node/core/register examples/copy.ts SOURCE SINK

import { open } from 'node:fs/promises'
import { transfer } from 'zcio'

const [source, sink] = process.argv.slice(2)
if (source === undefined || sink === undefined) {
  console.error('usage: copy SOURCE SINK')
  process.exit(2)
}

const stop = new AbortController()
process.once('SIGINT', () => {
  stop.abort()
})

const from = await open(source)
const to = await open(sink, 'wx')
const { size } = await from.stat()
const { bytes, mechanism } = await transfer(from, to, {
  signal: stop.signal,
  onProgress: ({ bytes }) =>
    process.stderr.write(`\r${Math.floor((100 * bytes) / Math.max(size, bytes, 1))} %`),
})
await from.close()
await to.close()
console.log(`\n${bytes} bytes by ${mechanism}`)
