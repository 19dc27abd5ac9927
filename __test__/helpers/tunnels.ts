// What a child needs to have many connections: source text for the modules that helpers/children.ts runs.

/** `listen()`, `connected(server)` (both ends of a connection), `received(socket)`, `take(socket, length)`. */
export const tunnels = `
  import { connect, createServer } from 'node:net'
  import { once } from 'node:events'
  import { createHash } from 'node:crypto'
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
  const listen = async () => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    await once(server, 'listening')
    return server
  }
  const connected = async (server) => {
    const near = connect(server.address().port, '127.0.0.1')
    const accepted = new Promise((resolve) => server.on('connection', function onConnection(far) {
      if (far.remotePort !== near.localPort) return
      server.off('connection', onConnection)
      resolve(far)
    }))
    await once(near, 'connect')
    return [near, await accepted]
  }
  const received = async (socket) => {
    const chunks = []
    socket.on('data', (chunk) => chunks.push(chunk)).resume()
    await once(socket, 'end')
    return Buffer.concat(chunks)
  }
  const until = async (isSo) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
  }`
