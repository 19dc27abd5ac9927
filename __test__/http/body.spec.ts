import test from 'ava'
import { execFileSync } from 'node:child_process'
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, symlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect } from 'node:net'
import { relative } from 'node:path'
import { respondWithFile } from 'zcio/http'
import { evict, makeFile, memory, pathFor, pattern, sha256 } from '../helpers/files.js'
import { fillSendBuffer, serve, serveFile } from '../helpers/http-server.js'
import { until } from '../helpers/wait.js'

const empty = sha256(Buffer.alloc(0))

test('an empty file is an empty body, by path and by descriptor', async (t) => {
  const file = makeFile(0)
  const handle = await open(file.path)
  t.teardown(() => handle.close())
  for (const body of [file.path, handle, handle.fd]) {
    const server = await serveFile(t, body)
    const client = await server.connect()
    for (let i = 0; i < 2; i++) {
      const answer = await client.get()
      t.is(answer.headers['content-length'], '0')
      t.true(answer.complete)
      t.is(answer.hash, empty)
    }
    t.is((await server.outcome()).value?.bytes, 0)
  }
})

test('a file that has no size, as those of /proc, is an empty body', async (t) => {
  const server = await serveFile(t, '/proc/self/status')
  const client = await server.connect()
  t.is((await client.get()).headers['content-length'], '0')
  t.is((await client.get()).hash, empty)
})

for (const strictContentLength of [false, true]) {
  const way = strictContentLength ? 'by streams' : 'by the kernel'
  test.serial(
    `a FileHandle that is closed while its response waits is not the next file: ${way}`,
    async (t) => {
      const [file, other] = [makeFile(32 * 2 ** 20), makeFile(32 * 2 ** 20)]
      const handle = await open(file.path)
      const server = await serve(t, async (res, { socket }) => {
        res.strictContentLength = strictContentLength
        if (!strictContentLength) fillSendBuffer(socket)
        const sending = respondWithFile(res, handle)
        if (strictContentLength) await until('it has begun', () => res.headersSent)
        const { fd } = handle
        await handle.close()
        // Descriptors are given out from the lowest.
        for (let opened = -1; opened < fd;) {
          opened = openSync(other.path, 'r')
          t.teardown(closing(opened))
        }
        client.resume()
        return sending
      })
      const client = connect(server.address).on('error', () => undefined)
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      t.is((await server.outcome()).error?.code, 'EBADF')
      client.destroy()
    },
  )
}

const closing = (fd: number) => () => {
  closeSync(fd)
}

test('a path may be relative, and lead through a symbolic link', async (t) => {
  const file = makeFile(1000)
  const link = pathFor('link')
  symlinkSync(file.path, link)
  const server = await serveFile(t, relative('.', link))
  t.is((await (await server.connect()).get()).hash, sha256(file.bytes))
})

test('the size is asked when it is sent: a file that has grown is sent as it is now', async (t) => {
  // oven-sh/bun#33657, #9755: a size remembered from before gave a truncated body, or 206.
  const file = makeFile(1000, 'growing', memory())
  const handle = await open(file.path)
  t.teardown(() => handle.close())
  const server = await serve(t, (res, req) => respondWithFile(res, req.url === '/fd' ? handle : file.path))
  const client = await server.connect()
  for (const add of [1, 20_000, 100_000]) {
    await client.get()
    appendFileSync(file.path, Buffer.alloc(add, 'more'))
    const now = readFileSync(file.path)
    for (const path of ['/', '/fd']) {
      const answer = await client.get(path)
      t.is(answer.headers['content-length'], String(now.length))
      t.is(answer.hash, sha256(now))
    }
  }
})

test('files that are not in memory arrive whole', async (t) => {
  const files = [1, 4096, 32_768, 32_769, 65_536, 65_537, 5_000_000].map((size) => makeFile(size, 'cold'))
  const server = await serve(t, (res, req) =>
    respondWithFile(res, files[Number(req.url?.slice(1))]?.path ?? ''),
  )
  const client = await server.connect()
  for (const [i, file] of files.entries()) {
    evict(file.path)
    const answer = await client.get(`/${i}`)
    t.is(answer.hash, sha256(file.bytes))
    t.is((await server.outcome(i)).value?.bytes, file.bytes.length)
  }
})

test('offsets beyond 4 GiB are offsets like any other', async (t) => {
  // netty/netty#3760: lengths kept in an int.
  const file = makeFile(0, 'sparse')
  const size = 6 * 2 ** 30
  const bytes = pattern(200_000)
  const handle = await open(file.path, 'r+')
  t.teardown(() => handle.close())
  await handle.write(bytes, 0, bytes.length, size - bytes.length)
  const server = await serve(t, (res, req) => {
    const start = size - Number(req.url?.slice(1))
    return respondWithFile(res, file.path, { start, end: start + 99_999 })
  })
  const client = await server.connect()
  for (const back of [200_000, 150_000, 60_000, 10_000, 1]) {
    const answer = await client.get(`/${back}`)
    t.is(answer.bytes, Math.min(back, 100_000))
    t.is(answer.hash, sha256(bytes.subarray(200_000 - back).subarray(0, 100_000)))
  }
  const whole = await serveFile(t, file.path)
  t.is((await (await whole.connect()).get('/', 'HEAD')).headers['content-length'], String(size))
})

/** What has no length that a head could declare, or cannot be opened, and the code that says so. */
const unfit: [what: string, path: () => string, code: string][] = [
  ['a missing file', () => pathFor('missing'), 'ENOENT'],
  ['an empty path', () => '', 'ENOENT'],
  ['a path through a file', () => `${makeFile(1).path}/x`, 'ENOTDIR'],
  ['a path with a NUL', () => `${makeFile(1).path}\0.txt`, 'ERR_INVALID_ARG_VALUE'],
  ['a path that is too long', () => `/${'a'.repeat(5000)}`, 'ENAMETOOLONG'],
  ['a directory', () => directory(), 'EISDIR'],
  ['a FIFO', () => fifo(), 'ERR_ZCIO_UNSUPPORTED'],
  ['a device', () => '/dev/zero', 'ERR_ZCIO_UNSUPPORTED'],
]

for (const [what, make, code] of unfit) {
  test(`${what} is refused with ${code}, and the response is still the caller's`, async (t) => {
    const path = make()
    const server = await serve(t, async (res) => {
      try {
        return await respondWithFile(res, path)
      } catch (error) {
        t.false(res.headersSent)
        res.statusCode = 404
        res.removeHeader('Content-Length')
        res.end('sorry')
        throw error
      }
    })
    const client = await server.connect()
    for (let i = 0; i < 2; i++) {
      const answer = await client.get()
      t.is(answer.status, 404)
      t.is(answer.hash, sha256(Buffer.from('sorry')))
      const { error } = await server.outcome(i)
      t.is(error?.code, code)
      if (code !== 'ERR_INVALID_ARG_VALUE') t.like(error, { bytes: 0, side: 'source' })
    }
  })
}

test('open files that have no length are refused', async (t) => {
  const fds = ['.', '/dev/zero'].map((path) => openSync(path, 'r'))
  t.teardown(() => {
    fds.forEach((fd) => {
      closeSync(fd)
    })
  })
  for (const [i, code] of ['EISDIR', 'ERR_ZCIO_UNSUPPORTED'].entries()) {
    const server = await serveFile(t, fds[i] ?? -1)
    const client = await server.connect()
    client.request()
    t.is((await server.outcome()).error?.code, code)
  }
})

test('what is not open, not readable or not a file is refused before anything is sent', async (t) => {
  const file = makeFile(1000)
  const handle = await open(file.path)
  await handle.close()
  const writeOnly = openSync(file.path, 'a')
  t.teardown(() => {
    closeSync(writeOnly)
  })
  const files: [file: unknown, code: string][] = [
    [handle, 'ERR_OUT_OF_RANGE'],
    [-1, 'ERR_OUT_OF_RANGE'],
    [1.5, 'ERR_OUT_OF_RANGE'],
    [NaN, 'ERR_OUT_OF_RANGE'],
    [2 ** 31, 'ERR_OUT_OF_RANGE'],
    [2 ** 31 - 1, 'EBADF'],
    [writeOnly, 'EBADF'],
    [undefined, 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
    [Buffer.from(file.path), 'ERR_INVALID_ARG_TYPE'],
    [{}, 'ERR_INVALID_ARG_TYPE'],
  ]
  for (const [bad, code] of files) {
    const server = await serve(t, (res) =>
      respondWithFile(res, bad as string).finally(() => {
        t.false(res.headersSent)
        res.writeHead(500).end()
      }),
    )
    const client = await server.connect()
    t.is((await client.get()).status, 500)
    t.is((await server.outcome()).error?.code, code)
  }
})

function directory(): string {
  const path = pathFor('directory')
  mkdirSync(path)
  return path
}

function fifo(): string {
  const path = pathFor('fifo')
  execFileSync('mkfifo', [path])
  return path
}
