// TLS and HTTP/2: the bytes are encrypted or framed in user space, so they go through Node.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import type { TransferResult } from 'zcio'
import { respondWithFile } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import { HttpClient } from '../helpers/http-client.js'
import { serve } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { outcome, until } from '../helpers/wait.js'

const files = [0, 1, 4096, 65_536, 3_000_000].map((size) => makeFile(size))
const large = makeFile(16 * 1024 * 1024)

const tls = Object.fromEntries(
  ['key', 'certificate'].map((name) => [
    name === 'key' ? 'key' : 'cert',
    readFileSync(new URL(`../fixtures/tls-${name}.pem`, import.meta.url)),
  ]),
)

function refused(t: ExecutionContext, value: TransferResult | undefined, code: string): void {
  t.is(value?.mechanism, 'stream')
  t.deepEqual(value?.fallbacks, [{ mechanism: 'sendfile', code }])
}

test('TLS goes through Node', async (t) => {
  const server = await serve(
    t,
    (res, req) => respondWithFile(res, files[Number(req.url?.slice(1))]?.path ?? ''),
    {
      server: https.createServer(tls) as unknown as Server,
    },
  )
  const { port } = server.server.address() as AddressInfo
  const socket = connect({ port, rejectUnauthorized: false })
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  const client = HttpClient.on(socket)
  for (const [i, { bytes }] of files.entries()) {
    t.is((await client.get(`/${i}`)).hash, sha256(bytes))
    refused(t, (await server.outcome(i)).value, 'TLS')
  }
})

for (const [what, secure] of [
  ['HTTP/2', false],
  ['HTTP/2 over TLS', true],
] as const) {
  test(`${what} goes through Node`, async (t) => {
    const outcomes: Promise<{ value?: TransferResult }>[] = []
    const onRequest = (req: http2.Http2ServerRequest, res: http2.Http2ServerResponse): void => {
      outcomes.push(outcome(respondWithFile(res, files[Number(req.url.slice(1))]?.path ?? '')))
    }
    const server = secure ? http2.createSecureServer(tls, onRequest) : http2.createServer(onRequest)
    server.listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const session = http2.connect(`${secure ? 'https' : 'http'}://localhost:${port}`, {
      rejectUnauthorized: false,
    })
    t.teardown(() => {
      session.destroy()
      server.close()
    })
    for (const method of ['GET', 'HEAD']) {
      for (const [i, { bytes }] of files.entries()) {
        const answer = await get(session, `/${i}`, method)
        t.is(answer.headers['content-length'], String(bytes.length))
        t.is(answer.hash, sha256(method === 'HEAD' ? Buffer.alloc(0) : bytes))
        refused(t, (await outcomes.at(-1))?.value, 'HTTP2')
      }
    }
    t.is(outcomes.length, 2 * files.length)
  })
}

test('a stream of HTTP/2 that the client resets midway ends the transfer', async (t) => {
  const { path } = makeFile(large.bytes)
  let sending: ReturnType<typeof outcome<TransferResult>> | undefined
  const server = http2.createServer((_, res) => {
    sending = outcome(respondWithFile(res, path))
  })
  server.listen(0)
  await once(server, 'listening')
  const session = http2.connect(`http://localhost:${(server.address() as AddressInfo).port}`)
  t.teardown(() => {
    session.destroy()
    server.close()
  })
  const stream = session.request({ ':path': '/' })
  await once(stream, 'readable')
  stream.close(http2.constants.NGHTTP2_CANCEL)
  t.is((await sending)?.error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  await until('the file to be closed', () => !openDescriptors().includes(path))
})

async function get(
  session: http2.ClientHttp2Session,
  path: string,
  method: string,
): Promise<{ headers: http2.IncomingHttpHeaders; hash: string }> {
  const stream = session.request({ ':path': path, ':method': method })
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return { headers, hash: sha256(Buffer.concat(parts)) }
}
