import test from 'ava'
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { makeFile, memory, sha256 } from '../helpers/files.js'
import { serve, serveFile } from '../helpers/http-server.js'
import { respondWithFile } from 'zcio/http'

/** One size for each way a body goes: read and sent with the head, one call on this thread, the engine. */
const ways = { small: 4097, 'one-call': 65_535, large: 3 * 1024 * 1024 + 1 }

for (const [way, size] of Object.entries(ways)) {
  const file = makeFile(size)

  test(`a ${way} file arrives whole, and its length is declared`, async (t) => {
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    const answer = await client.get()
    t.is(answer.status, 200)
    t.is(answer.headers['content-length'], String(size))
    t.true(answer.complete)
    t.is(answer.hash, sha256(file.bytes))
    const { value } = await server.outcome()
    t.is(value?.bytes, size)
    t.not(value?.mechanism, 'stream')
    t.deepEqual(value?.fallbacks, [])
  })

  test(`a connection is kept alive over many ${way} files`, async (t) => {
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    for (let i = 0; i < 10; i++) {
      const answer = await client.get()
      t.true(answer.complete)
      t.is(answer.hash, sha256(file.bytes))
    }
    t.is(server.outcomes.length, 10)
  })

  test(`an open ${way} file is sent from its start, and stays open where it is`, async (t) => {
    const handle = await open(file.path)
    t.teardown(() => handle.close())
    await handle.read(Buffer.alloc(100), 0, 100)
    for (const open of [handle, handle.fd]) {
      const server = await serveFile(t, open)
      const client = await server.connect()
      t.is((await client.get()).hash, sha256(file.bytes))
      t.is((await client.get()).hash, sha256(file.bytes))
      const { value } = await server.outcome(1)
      t.not(value?.mechanism, 'stream')
    }
    const next = await handle.read(Buffer.alloc(10), 0, 10)
    t.deepEqual(next.buffer, file.bytes.subarray(100, 110))
  })

  test(`HEAD of a ${way} file has its length and no body`, async (t) => {
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    const answer = await client.get('/', 'HEAD')
    t.is(answer.headers['content-length'], String(size))
    t.is((await server.outcome()).value?.bytes, 0)
    t.is((await client.get()).hash, sha256(file.bytes), 'the next response is in its place')
  })

  for (const status of [204, 304]) {
    test(`a response ${status} has no body, whatever the ${way} file holds`, async (t) => {
      const server = await serveFile(t, file.path, {
        prepare: (res) => {
          if (server.outcomes.length === 0) res.statusCode = status
        },
      })
      const client = await server.connect()
      const answer = await client.get()
      t.is(answer.status, status)
      t.false('content-length' in answer.headers)
      t.is((await server.outcome()).value?.bytes, 0)
      t.is((await client.get()).hash, sha256(file.bytes), 'the next response is in its place')
    })
  }

  const heads: Record<string, (res: ServerResponse) => void> = {
    'headers that were set': (res) => {
      res.setHeader('X-Test', 'ok').setHeader('Set-Cookie', ['a=1', 'b=2'])
      res.statusCode = 203
    },
    'a head that was written': (res) => res.writeHead(203, { 'X-Test': 'ok' }),
    'a head that was written with its length': (res) =>
      res.writeHead(203, 'Why Not', { 'X-Test': 'ok', 'Content-Length': size }),
    'a head that was sent': (res) => {
      res.writeHead(203, { 'X-Test': 'ok', 'Content-Length': size })
      res.flushHeaders()
    },
    'a head that ends with Connection: close': (res) => {
      res.writeHead(203, { 'X-Test': 'ok', Connection: 'close' })
    },
  }
  for (const [what, prepare] of Object.entries(heads)) {
    test(`${what} is respected before a ${way} file`, async (t) => {
      const server = await serveFile(t, file.path, { prepare })
      const client = await server.connect()
      const answer = await client.get()
      t.is(answer.status, 203)
      t.is(answer.headers['x-test'], 'ok')
      t.true(answer.complete)
      t.is(answer.hash, sha256(file.bytes))
      const { value } = await server.outcome()
      t.is(value?.mechanism === 'stream', answer.headers['transfer-encoding'] === 'chunked')
    })
  }

  // Ranges as of fs.createReadStream: inclusive. oven-sh/bun#30059: the length is that of the range, not of the file;
  // python/cpython#150107: 0 is an offset like any other.
  const ranges: [start: number | undefined, end: number | undefined, length: number][] = [
    [0, 0, 1],
    [0, undefined, size],
    [undefined, 0, 1],
    [0, size - 1, size],
    [0, size, size],
    [0, Infinity, size],
    [1, undefined, size - 1],
    [size - 1, undefined, 1],
    [size - 1, size - 1, 1],
    [size, undefined, 0],
    [size + 1, size + 5, 0],
    [1000, 3999, 3000],
    [Number.MAX_SAFE_INTEGER, undefined, 0],
    [1, Number.MAX_SAFE_INTEGER, size - 1],
  ]
  test(`any range of a ${way} file arrives, cut where the file ends`, async (t) => {
    const server = await serve(t, (res, req) => {
      const [start, end] = ranges[Number(req.url?.slice(1))] ?? []
      return respondWithFile(res, file.path, {
        ...(start === undefined ? {} : { start }),
        ...(end === undefined ? {} : { end }),
      })
    })
    const client = await server.connect()
    for (const [i, [start, end, length]] of ranges.entries()) {
      const asked = `${start ?? ''}-${end ?? ''}`
      const answer = await client.get(`/${i}`)
      t.is(answer.status, 200, 'oven-sh/bun#33657: never 206 unasked')
      t.is(answer.headers['content-length'], String(length), asked)
      t.is(answer.hash, sha256(file.bytes.subarray(start ?? 0, (end ?? size) + 1)), asked)
    }
  })
}

test('a small file that is in memory is read and sent with its head, a larger one goes by the kernel', async (t) => {
  for (const [size, mechanism] of [
    [32 * 1024, 'read_write'],
    [32 * 1024 + 1, 'sendfile'],
  ] as const) {
    const file = makeFile(size, 'small', memory())
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    t.is((await client.get()).hash, sha256(file.bytes))
    t.is((await server.outcome()).value?.mechanism, mechanism)
  }
})

test('a response that has ended takes no file', async (t) => {
  const server = await serve(t, (res) => {
    res.end('done')
    return respondWithFile(res, import.meta.filename)
  })
  const client = await server.connect()
  t.is((await client.get()).bytes, 4)
  t.is((await server.outcome()).error?.code, 'ERR_STREAM_WRITE_AFTER_END')
})

test('wrong arguments are told before anything is sent', async (t) => {
  const wrong: [options: unknown, code: string, message: RegExp][] = [
    [{ start: -1 }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ start: 0.5 }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ start: NaN }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ start: Infinity }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ start: 2 ** 53 }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ start: '0' }, 'ERR_INVALID_ARG_TYPE', /options\.start/],
    [{ end: -1 }, 'ERR_OUT_OF_RANGE', /options\.end/],
    [{ end: {} }, 'ERR_INVALID_ARG_TYPE', /options\.end/],
    [{ start: 2, end: 1 }, 'ERR_OUT_OF_RANGE', /options\.start/],
    [{ signal: {} }, 'ERR_INVALID_ARG_TYPE', /options\.signal/],
    [{ onProgress: 1 }, 'ERR_INVALID_ARG_TYPE', /options\.onProgress/],
    [{ length: 1 }, 'ERR_INVALID_ARG_VALUE', /options\.length.*start, end, signal, onProgress/],
    [null, 'ERR_INVALID_ARG_TYPE', /options/],
    [1, 'ERR_INVALID_ARG_TYPE', /options/],
  ]
  const server = await serve(t, async (res) => {
    for (const [options, code, message] of wrong) {
      await t.throwsAsync(respondWithFile(res, import.meta.filename, options as object), { code, message })
      t.false(res.headersSent)
    }
    return respondWithFile(res, import.meta.filename)
  })
  t.true((await (await server.connect()).get()).complete)
  for (const res of [undefined, null, {}, process.stdout]) {
    const promise = respondWithFile(res as ServerResponse, import.meta.filename)
    await t.throwsAsync(promise, { code: 'ERR_INVALID_ARG_TYPE', message: /"res"/ })
  }
})

for (const [way, size] of Object.entries(ways)) {
  const file = makeFile(size, way, memory())

  test(`a ${way} file goes past Node over a unix socket too`, async (t) => {
    const server = await serveFile(t, file.path, { unix: true })
    const client = await server.connect()
    for (let i = 0; i < 3; i++) t.is((await client.get()).hash, sha256(file.bytes))
    const { value } = await server.outcome(2)
    t.is(value?.mechanism, way === 'small' ? 'read_write' : 'sendfile')
    t.deepEqual(value?.fallbacks, [])
  })

  test(`many clients get a ${way} file from one descriptor, whose position stays`, async (t) => {
    const handle = await open(file.path)
    t.teardown(() => handle.close())
    const server = await serveFile(t, handle)
    const clients = await Promise.all(Array.from({ length: 8 }, () => server.connect()))
    const answers = await Promise.all(clients.map((client) => client.get()))
    for (const { hash } of answers) t.is(hash, sha256(file.bytes))
    t.is((await handle.read(Buffer.alloc(1))).buffer[0], file.bytes[0])
  })

  test(`a ${way} file answers a request whose body nobody reads`, async (t) => {
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    for (let i = 0; i < 3; i++) {
      client.request('/', 'POST', 'Content-Length: 500000')
      client.socket.write(Buffer.alloc(500_000, 'body'))
      t.is((await client.answer()).hash, sha256(file.bytes))
    }
  })
}

test('no answer waits for more bytes that do not come', async (t) => {
  // A head sent with MSG_MORE before an empty body is held back for 200 ms.
  const file = makeFile(100_000, 'file', memory())
  const handle = await open(file.path)
  t.teardown(() => handle.close())
  const server = await serve(t, (res, req) => {
    const start = Number(req.url?.slice(3))
    return respondWithFile(res, req.url?.startsWith('/fd') === true ? handle : file.path, { start })
  })
  const client = await server.connect()
  for (const path of ['/fd', '/by']) {
    for (const length of [0, 1, 20_000, 100_000]) {
      let least = Infinity
      for (let i = 0; i < 20; i++) {
        const began = performance.now()
        t.is((await client.get(`${path}${100_000 - length}`)).bytes, length)
        least = Math.min(least, performance.now() - began)
      }
      t.true(least < 150, `${least} ms for ${length} bytes`)
    }
  }
})
