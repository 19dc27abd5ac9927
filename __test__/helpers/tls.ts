// A connected pair of TLS sockets.

import type { ExecutionContext } from 'ava'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { within } from './wait.js'

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
const credentials = { cert: fixture('tls-certificate.pem'), key: fixture('tls-key.pem') }

/** Two sockets that talk to each other, encrypted. */
export async function tlsSockets(t: ExecutionContext): Promise<[near: TLSSocket, far: TLSSocket]> {
  const server = createServer(credentials).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const { port } = server.address() as AddressInfo
  const near = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  const [[far]] = await within('a TLS connection', Promise.all([accepted, once(near, 'secureConnect')]))
  server.close()
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return [near, far]
}
