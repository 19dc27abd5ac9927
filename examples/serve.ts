// Serves one file over HTTP; its bytes never enter JavaScript.
//
//   node --import @oxc-node/core/register examples/serve.ts FILE [PORT]

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { respondWithFile } from 'zcio/http'

const [file = 'README.md', port = '8080'] = process.argv.slice(2)

const server = createServer((_req, res) => {
  respondWithFile(res, file).catch((error: unknown) => {
    console.error(String(error))
    if (res.headersSent) res.destroy()
    else res.writeHead(404).end()
  })
})

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
