// What must not go past Node: the bytes are right, the mechanism is 'stream', and the reason is told.

import test, { type ExecutionContext } from 'ava'
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { createGzip, gunzipSync, type Gzip } from 'node:zlib'
import type { TransferResult } from 'zcio'
import { respondWithFile } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { serve, serveFile } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { outcome, until } from '../helpers/wait.js'

const files = [0, 1, 4096, 65_536, 3_000_000].map((size) => makeFile(size))
const large = makeFile(16 * 1024 * 1024)

function refused(t: ExecutionContext, value: TransferResult | undefined, code: string): void {
  t.is(value?.mechanism, 'stream')
  t.deepEqual(value?.fallbacks, [{ mechanism: 'sendfile', code }])
}

const kinds: [code: string, what: string, prepare: (res: ServerResponse) => void][] = [
  ['STRICT_CONTENT_LENGTH', 'whose length Node checks', (res) => (res.strictContentLength = true)],
  ['CHUNKED', 'that is chunked by a header', (res) => res.setHeader('Transfer-Encoding', 'chunked')],
  ['CHUNKED', 'whose head was written without a length', (res) => res.writeHead(200)],
  [
    'CHUNKED',
    'whose head was sent without a length',
    (res) => {
      res.flushHeaders()
    },
  ],
  [
    'CORKED',
    'that is corked',
    (res) => {
      res.cork()
    },
  ],
  ['CORKED', 'whose socket is corked', (res) => res.socket?.cork()],
  ['WRAPPED', 'whose write is wrapped', wrapWrite],
  ['WRAPPED', 'whose socket is wrapped', wrapSocket],
]

for (const [code, what, prepare] of kinds) {
  test(`a response ${what} goes through Node`, async (t) => {
    for (const { path, bytes } of files) {
      const server = await serveFile(t, path, { prepare })
      const client = await server.connect()
      for (let i = 0; i < 2; i++) {
        const answer = await client.get()
        t.true(answer.complete)
        t.is(answer.hash, sha256(bytes))
        const { value } = await server.outcome(i)
        t.is(value?.bytes, bytes.length)
        refused(t, value, code)
      }
      t.is((await client.get('/', 'HEAD')).bytes, 0)
    }
  })
}

test('a range of an open file is the same through Node, and the file stays open', async (t) => {
  const { path, bytes } = files[4] ?? large
  const handle = await open(path)
  t.teardown(() => handle.close())
  for (const file of [path, handle, handle.fd]) {
    const server = await serveFile(t, file, {
      start: 1000,
      end: 1_999_999,
      prepare: (res) => (res.strictContentLength = true),
    })
    const client = await server.connect()
    for (let i = 0; i < 2; i++) {
      const answer = await client.get()
      t.is(answer.headers['content-length'], '1999000')
      t.is(answer.hash, sha256(bytes.subarray(1000, 2_000_000)))
    }
    client.request()
    await client.head()
    client.reset()
    await server.outcome(2)
  }
  t.deepEqual((await handle.read(Buffer.alloc(10))).buffer, bytes.subarray(0, 10))
})

test('a wrong Content-Length is told before anything is sent, also where Node would send it', async (t) => {
  const { path } = makeFile(100_000)
  const server = await serveFile(t, path, {
    prepare: (res) => {
      res.strictContentLength = true
      res.setHeader('Content-Length', 5)
    },
  })
  const client = await server.connect()
  client.request()
  const { error } = await server.outcome()
  t.is(error?.code, 'ERR_HTTP_CONTENT_LENGTH_MISMATCH')
  t.false(openDescriptors().includes(path))
})

test('a middleware that compresses gets the file to compress', async (t) => {
  for (const { path, bytes } of files) {
    const server = await serveFile(t, path, { prepare: compress })
    const client = await server.connect()
    client.request()
    const { headers } = await client.head()
    t.is(headers['content-encoding'], 'gzip')
    t.is(headers['content-length'], undefined)
    t.true(gunzipSync(await chunks(client)).equals(bytes))
    const { value } = await server.outcome()
    refused(t, value, 'WRAPPED')
  }
})

for (const how of ['reset', 'destroy'] as const) {
  test(`a client that goes (${how}) midway ends a transfer through Node`, async (t) => {
    const { path } = makeFile(large.bytes)
    const server = await serveFile(t, path, { prepare: (res) => (res.strictContentLength = true) })
    const client = await server.connect()
    client.request()
    await client.head()
    client[how]()
    const { error } = await server.outcome()
    t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    t.true((error?.bytes ?? large.bytes.length) < large.bytes.length)
    await until('the file to be closed', () => !openDescriptors().includes(path))
  })
}

test('a signal stops a transfer through Node, and destroys the connection', async (t) => {
  const abort = new AbortController()
  const server = await serveFile(t, large.path, {
    signal: abort.signal,
    prepare: (res) => (res.strictContentLength = true),
  })
  const client = await server.connect()
  client.request()
  await client.head()
  abort.abort()
  t.is((await server.outcome()).error?.name, 'AbortError')
  t.true((await client.drain()) < large.bytes.length)
})

test('a response that Node is sending takes no other file', async (t) => {
  let second: ReturnType<typeof outcome<TransferResult>> | undefined
  const server = await serve(t, (res) => {
    res.strictContentLength = true
    const sending = respondWithFile(res, large.path)
    second = outcome(respondWithFile(res, large.path))
    return sending
  })
  const client = await server.connect()
  t.is((await client.get()).hash, sha256(large.bytes))
  t.is((await second)?.error?.code, 'ERR_ZCIO_BUSY')
})

test('progress is told through Node too', async (t) => {
  const seen: number[] = []
  const server = await serveFile(t, large.path, {
    prepare: (res) => (res.strictContentLength = true),
    onProgress: ({ bytes, total }) => {
      t.is(total, large.bytes.length)
      seen.push(bytes)
    },
  })
  const client = await server.connect()
  await client.get()
  await server.outcome()
  t.is(seen.at(-1), large.bytes.length)
})

/** As many middlewares do. */
function wrapWrite(res: ServerResponse): void {
  const write = res.write.bind(res) as (...args: unknown[]) => boolean
  res.write = ((...args: unknown[]) => write(...args)) as typeof res.write
}

function wrapSocket(res: ServerResponse): void {
  const { socket } = res
  if (socket === null || Object.hasOwn(socket, 'write')) return
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  socket.write = (...args: unknown[]) => write(...args)
}

/** What compressing middlewares do: the head loses its length, the body goes through gzip. */
function compress(res: ServerResponse): void {
  const writeHead = res.writeHead.bind(res)
  const write = res.write.bind(res) as (chunk: Buffer) => boolean
  const end = res.end.bind(res) as () => ServerResponse
  let gzip: Gzip | undefined
  res.writeHead = (status: number) => {
    res.removeHeader('Content-Length')
    res.setHeader('Content-Encoding', 'gzip')
    return writeHead(status)
  }
  const start = (): Gzip => {
    if (gzip !== undefined) return gzip
    if (!res.headersSent) res.writeHead(res.statusCode)
    gzip = createGzip().on('data', (chunk: Buffer) => write(chunk) || gzip?.pause())
    res.on('drain', () => gzip?.resume())
    return gzip.on('drain', () => res.emit('drain')).on('end', () => end())
  }
  res.write = ((chunk: Buffer) => start().write(chunk)) as typeof res.write
  res.end = ((chunk?: Buffer) => {
    if (chunk === undefined) start().end()
    else start().end(chunk)
    return res
  }) as typeof res.end
}

async function chunks(client: HttpClient): Promise<Buffer> {
  const parts: Buffer[] = []
  for (;;) {
    let line = ''
    while (!line.endsWith('\r\n')) line += (await client.take(1)).toString()
    const length = Number.parseInt(line, 16)
    parts.push((await client.take(length + 2)).subarray(0, length))
    if (length === 0) return Buffer.concat(parts)
  }
}
