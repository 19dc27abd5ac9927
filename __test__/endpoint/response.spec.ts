// A ServerResponse as an end: whether its body may go past Node, what it promises, and whose turn it is.

import test, { type ExecutionContext } from 'ava'
import { IncomingMessage, ServerResponse } from 'node:http'
import { open } from 'node:fs/promises'
import { Socket } from 'node:net'
import {
  checkDeclaredLength,
  declareLength,
  isBodyless,
  isGone,
  refusedBody,
  refusedResponse,
  socketOf,
  uncork,
} from '#src/endpoint/response.js'
import { transfer } from 'zcio'
import { makeFile, sha256 } from '../helpers/files.js'
import { serve } from '../helpers/http-server.js'
import { outcome, until } from '../helpers/wait.js'

/** A response as Node makes one, on no connection. */
function response(method = 'GET'): ServerResponse {
  const req = new IncomingMessage(new Socket())
  Object.assign(req, { method, httpVersionMajor: 1, httpVersionMinor: 1 })
  return new ServerResponse(req)
}

const refusals: [code: string | undefined, what: string, change: (res: ServerResponse) => void][] = [
  [undefined, 'is as Node made it', () => undefined],
  [undefined, 'has a head without a length, yet', (res) => res.setHeader('X-Test', '1')],
  ['STRICT_CONTENT_LENGTH', 'counts its bytes', (res) => (res.strictContentLength = true)],
  ['WRAPPED', 'has another write', (res) => (res.write = () => true)],
  ['WRAPPED', 'has another end', (res) => (res.end = () => res)],
  [
    'CORKED',
    'is corked',
    (res) => {
      res.cork()
    },
  ],
  ['CHUNKED', 'is to be chunked', (res) => res.setHeader('Transfer-Encoding', 'chunked')],
  ['CHUNKED', 'has a head without a length', (res) => res.writeHead(200)],
]
for (const [code, what, change] of refusals) {
  test(`a response that ${what} ${code === undefined ? 'may go past Node' : `is for Node: ${code}`}`, (t) => {
    const res = response()
    change(res)
    t.is(refusedResponse(res), code)
  })
}

test('a composed head without a length is for Node', (t) => {
  t.is(refusedBody(response().writeHead(200)), 'CHUNKED')
  t.is(refusedBody(response().writeHead(200, { 'Content-Length': 3 })), undefined)
})

test('a response to HEAD, and one with 204 or 304, has no body', (t) => {
  t.true(isBodyless(response('HEAD')))
  for (const status of [200, 204, 206, 304, 404]) {
    const res = response()
    res.statusCode = status
    t.is(isBodyless(res), status === 204 || status === 304)
  }
})

test('the length is declared where nobody has said anything about it', (t) => {
  const declared = (change: (res: ServerResponse) => void, method?: string): unknown => {
    const res = response(method)
    change(res)
    declareLength(res, 7)
    return res.getHeader('content-length')
  }
  t.is(
    declared(() => undefined),
    7,
  )
  t.is(
    declared(() => undefined, 'HEAD'),
    7,
  )
  t.is(
    declared((res) => res.setHeader('CONTENT-LENGTH', '9')),
    '9',
  )
  t.is(
    declared((res) => res.setHeader('transfer-encoding', 'chunked')),
    undefined,
  )
  t.is(
    declared((res) => (res.statusCode = 304)),
    undefined,
  )
  t.is(
    declared((res) => res.writeHead(200)),
    undefined,
  )
})

test('a declared length that is not that of the body is told, and what to do', (t) => {
  const check = (change: (res: ServerResponse) => void, method?: string): void => {
    const res = response(method)
    change(res)
    checkDeclaredLength(res, 7)
  }
  const declare =
    (length: string | number) =>
    (res: ServerResponse): unknown =>
      res.setHeader('Content-Length', length)
  t.notThrows(() => {
    check(() => undefined)
    check(declare(7))
    check(declare('7'))
    check(declare(5), 'HEAD')
    check((res) => declare(5)(res) && (res.statusCode = 304))
  })
  const error = { code: 'ERR_HTTP_CONTENT_LENGTH_MISMATCH', message: /Content-Length: 5.* 7 bytes; leave/ }
  t.throws(() => {
    check(declare(5))
  }, error)
  t.throws(() => {
    check((res) => res.writeHead(200, { 'Content-Length': 5 }))
  }, error)
})

test('a response whose connection is gone is gone', (t) => {
  const [destroyed, disconnected, fine] = [response(), response(), response()]
  destroyed.destroy()
  disconnected.req.socket.destroy()
  t.deepEqual([destroyed, disconnected, fine].map(isGone), [true, true, false])
})

test('whoever corked a response may uncork it once more, and it can be corked again', (t) => {
  const res = response()
  res.cork()
  res.cork()
  uncork(res)
  res.uncork()
  res.uncork()
  t.is(res.writableCorked, 0)
  res.cork()
  t.is(res.writableCorked, 1)
  res.uncork()
  t.is(res.writableCorked, 0)
})

test('uncorking pulls every cork, of the response and of its socket', (t) => {
  const res = response()
  res.assignSocket(new Socket())
  res.cork()
  res.cork()
  res.socket?.cork()
  uncork(res)
  t.is(res.writableCorked, 0)
  t.is(res.socket?.writableCorked, 0)
})

test('a response that waits for its turn gets its socket, or hears why not', async (t) => {
  const waits: Promise<{ value?: Socket; error?: NodeJS.ErrnoException }>[] = []
  const responses: ServerResponse[] = []
  const abort = new AbortController()
  const warnings: Error[] = []
  process.on('warning', (warning) => warnings.push(warning))
  const server = await serve(t, (res) => {
    responses.push(res)
    waits.push(outcome(socketOf(res, responses.length === 2 ? abort.signal : undefined)))
    return Promise.resolve({ bytes: 0, mechanism: 'stream', fallbacks: [] })
  })
  const client = await server.connect()
  for (let i = 0; i < 20; i++) client.request()
  await until('the requests', () => responses.length === 20)
  const [first, second, third, fourth] = responses
  t.is((await waits[0])?.value, first?.socket ?? undefined)
  t.deepEqual([second?.socket, third?.socket], [null, null])
  abort.abort()
  t.is((await waits[1])?.error?.name, 'AbortError')
  // Before Node 24 it says so only when it is its turn.
  third?.destroy()
  first?.end()
  second?.end()
  await client.answer()
  await client.answer()
  client.reset()
  for (const wait of waits.slice(2)) t.is((await wait).error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  t.is(fourth?.listenerCount('socket'), 0)
  t.deepEqual(warnings, [], 'however many wait, the connection has one listener')
})

test('a file goes into a response by transfer(), which keeps to what the head declares', async (t) => {
  const file = makeFile(1_000_000)
  const server = await serve(t, async (res, req) => {
    const { fd } = await opened(t, file.path)
    res.writeHead(200, { 'Content-Length': Number(req.url?.slice(1)) })
    return transfer(fd, res, { start: 0 })
  })
  const client = await server.connect()
  for (const length of [1_000_000, 999_999, 1]) {
    t.is((await client.get(`/${length}`)).hash, sha256(file.bytes.subarray(0, length)))
  }
  t.is((await server.outcome()).value?.mechanism, 'sendfile')
  client.request('/1000001')
  const { error } = await server.outcome(3)
  t.like(error, { code: 'ERR_ZCIO_SOURCE_TRUNCATED', bytes: 1_000_000 })
  t.true((await client.drain()) < 1_001_000, 'the connection is gone')
})

test('a response into which transfer() was not to end it is still open', async (t) => {
  const file = makeFile(100_000)
  const server = await serve(t, async (res) => {
    const { fd } = await opened(t, file.path)
    res.setHeader('Content-Length', 200_005)
    const result = await transfer(fd, res, { start: 0, end: false })
    await transfer(fd, res, { start: 0, end: false })
    res.end('after')
    return result
  })
  const client = await server.connect()
  for (let i = 0; i < 2; i++) {
    const answer = await client.get()
    t.is(answer.hash, sha256(Buffer.concat([file.bytes, file.bytes, Buffer.from('after')])))
  }
})

async function opened(t: ExecutionContext, path: string): Promise<{ fd: number }> {
  const handle = await open(path)
  t.teardown(() => handle.close())
  return handle
}
