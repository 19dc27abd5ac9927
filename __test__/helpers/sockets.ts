// Two connected sockets, of which the test has both ends.

import type { ExecutionContext } from 'ava'
import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { pathFor } from './files.js'
import { within } from './wait.js'

export type Family = 'tcp' | 'unix'

/** A pair of connected sockets. The far one reads nothing until it is told to, so that the near one can be stalled. */
export async function sockets(
  t: ExecutionContext,
  family: Family = 'tcp',
): Promise<[near: Socket, far: Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const path = pathFor('socket')
  server.listen(family === 'unix' ? { path } : { port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const address = server.address()
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const near = connect(
    typeof address === 'object' && address !== null ? { port: address.port, host: '127.0.0.1' } : { path },
  )
  const [[far]] = await within('a connection', Promise.all([accepted, once(near, 'connect')]))
  server.close()
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return [near, far]
}

/** Everything that comes, to the end of the connection, however it ends. */
export async function received(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => {
    socket.once('end', resolve)
    socket.once('close', () => {
      resolve()
    })
  })
  socket.resume()
  await within('the end of a connection', ended)
  return Buffer.concat(chunks)
}

/** So many bytes; the rest stays where it is. */
export async function take(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let left = length; left > 0;) {
    const chunk = socket.read(Math.min(left, socket.readableLength)) as Buffer | null
    if (chunk === null) await within('bytes', once(socket, 'readable'))
    else chunks.push(chunk)
    left -= chunk?.length ?? 0
  }
  return Buffer.concat(chunks)
}

/** The number of a socket's descriptor, as another library might have it. */
export function bare(socket: object): number {
  return (socket as { _handle: { fd: number } })._handle.fd
}
