// Serves a directory over HTTP, with what `serve-static` does for it: types, conditions, ranges, indexes.
//
//   node --import @oxc-node/core/register examples/serve-static.ts [DIRECTORY] [PORT]

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveStatic } from 'zcio/http'

const [directory = '.', port = '8080'] = process.argv.slice(2)

const server = createServer(serveStatic(directory, { extensions: ['html'], precompressed: true }))

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
