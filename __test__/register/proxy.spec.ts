import 'zcio/register'
import test from 'ava'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { tally } from '#src/piping/tally.js'
import { bytes, received } from '../fixtures/piping/relay.js'
import { LARGE } from '../fixtures/piping/scene.js'
import { sha256 } from '../helpers/files.js'
import { until } from '../helpers/wait.js'

// http-proxy as its users have it: nothing here knows of zcio but the first line.

interface HttpProxy {
  web(req: IncomingMessage, res: unknown): void
  ws(req: IncomingMessage, socket: Duplex, head: Buffer): void
  on(event: 'error', listener: (error: Error) => void): void
}
const { createProxyServer } = createRequire(import.meta.url)('http-proxy') as {
  createProxyServer: (options: { target: string }) => HttpProxy
}

async function listen(t: { teardown(end: () => void): void }, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** A proxy in front of a server that echoes what is upgraded. Returns its port, and the errors that it met. */
async function proxied(t: { teardown(end: () => void): void }): Promise<{ port: number; errors: Error[] }> {
  const echo = createServer((req, res) => req.pipe(res))
  echo.on('upgrade', (req, socket: Socket, head: Buffer) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const { authorization = '' } = req.headers
    socket.write(createHash('sha256').update(authorization).digest('hex'))
    socket.write(head)
    socket.pipe(socket)
  })
  const target = `http://127.0.0.1:${await listen(t, echo)}`
  const proxy = createProxyServer({ target })
  const errors: Error[] = []
  proxy.on('error', (error) => errors.push(error))
  const front = createServer((req, res) => {
    proxy.web(req, res)
  })
  front.on('upgrade', (req, socket, head) => {
    proxy.ws(req, socket, head)
  })
  return { port: await listen(t, front), errors }
}

test.serial('what http-proxy upgrades goes by the kernel, both ways', async (t) => {
  const { port, errors } = await proxied(t)
  const before = tally().runs
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', Authorization: 'secret' }
  const req = request({ port, host: '127.0.0.1', headers })
  req.end()
  const [{ statusCode }, socket, head] = (await once(req, 'upgrade')) as [IncomingMessage, Socket, Buffer]
  t.is(statusCode, 101)
  const coming = received(socket)
  socket.write(bytes)
  await until('the echo', () => socket.bytesRead > LARGE)
  socket.end()
  const came = Buffer.concat([head, await coming])
  t.is(came.toString('latin1', 0, 64), sha256(Buffer.from('secret')))
  t.is(sha256(came.subarray(64)), sha256(bytes))
  // The proxy's two directions, and the echo.
  await until('three runs', () => tally().runs === before + 3)
  t.deepEqual(errors, [])
})

test.serial('requests that http-proxy passes on are as ever', async (t) => {
  const { port, errors } = await proxied(t)
  const req = request({ port, host: '127.0.0.1', method: 'POST' })
  req.end(bytes)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  const hash = createHash('sha256')
  for await (const chunk of res) hash.update(chunk as Buffer)
  t.is(hash.digest('hex'), sha256(bytes))
  t.deepEqual(errors, [])
})
