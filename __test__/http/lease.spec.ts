// What an application does to a response while its file is under way: nothing of it may overtake or cut the body.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TransferResult } from 'zcio'
import { respondWithFile } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { fillSendBuffer, serve, type TestServer } from '../helpers/http-server.js'
import { outcome, until } from '../helpers/wait.js'

const large = makeFile(16 * 1024 * 1024)
const small = makeFile(4096)

/** A response to a client that does not read, and what to await for it to arrive. */
async function underWay(
  t: ExecutionContext,
  path: string,
  meanwhile: (res: ServerResponse) => void,
): Promise<{ server: TestServer; client: HttpClient; filling: number }> {
  let filling = 0
  const server = await serve(
    t,
    (res, req) => {
      if (req.url !== '/first') return respondWithFile(res, small.path)
      if (path !== large.path && res.socket) filling = fillSendBuffer(res.socket)
      const sending = respondWithFile(res, path)
      meanwhile(res)
      return sending
    },
    { unix: true },
  )
  const client = await server.connect()
  client.request('/first')
  await until('the request', () => server.outcomes.length === 1)
  return { server, client, filling }
}

for (const { path, bytes } of [large, small]) {
  const way = path === large.path ? 'under way' : 'waiting in a full send buffer'

  test(`end() of a response whose file is ${way} comes after the file`, async (t) => {
    let ended = 0
    const { server, client, filling } = await underWay(t, path, (res) => {
      res.end(() => ended++)
      res.end()
    })
    await client.take(filling)
    t.is((await client.answer()).hash, sha256(bytes))
    t.is((await server.outcome()).value?.bytes, bytes.length)
    t.is((await client.get()).hash, sha256(small.bytes), 'the next response is in its place')
    await until('the callback of end()', () => ended === 1)
  })

  test(`what is written to a response whose file is ${way} meets an ended response`, async (t) => {
    const errors: NodeJS.ErrnoException[] = []
    const { server, client, filling } = await underWay(t, path, (res) => {
      res.on('error', (error) => errors.push(error))
      res.write('overtaking')
      res.end('lengthening')
    })
    await client.take(filling)
    t.is((await client.answer()).hash, sha256(bytes))
    t.is((await client.get()).hash, sha256(small.bytes), 'the next response is in its place')
    t.is((await server.outcome()).value?.bytes, bytes.length)
    t.deepEqual(
      errors.map(({ code }) => code),
      ['ERR_STREAM_WRITE_AFTER_END', 'ERR_STREAM_WRITE_AFTER_END'],
    )
  })

  test(`a response whose file is ${way} takes no other`, async (t) => {
    let second: Promise<{ error?: NodeJS.ErrnoException }> | undefined
    const { server, client, filling } = await underWay(t, path, (res) => {
      second = outcome(respondWithFile(res, small.path))
    })
    t.is((await second)?.error?.code, 'ERR_ZCIO_BUSY')
    await client.take(filling)
    t.is((await client.answer()).hash, sha256(bytes))
    t.is((await server.outcome()).value?.bytes, bytes.length)
    t.is((await client.get()).hash, sha256(small.bytes))
  })
}

test('of two files for one response that have to be opened elsewhere, the first is sent', async (t) => {
  const handle = await open(large.path)
  t.teardown(() => handle.close())
  const slow = `/proc/self/fd/${handle.fd}`
  const others: Promise<{ value?: TransferResult; error?: NodeJS.ErrnoException }>[] = []
  const server = await serve(t, (res) => {
    const first = respondWithFile(res, slow)
    for (const other of [slow, small.path, handle]) others.push(outcome(respondWithFile(res, other)))
    return first
  })
  const client = await server.connect()
  for (let i = 0; i < 2; i++) t.is((await client.get()).hash, sha256(large.bytes))
  for (const other of others) t.is((await other).error?.code, 'ERR_ZCIO_BUSY')
})

test('a response that has got its small file takes no other', async (t) => {
  const server = await serve(t, async (res) => {
    await respondWithFile(res, small.path)
    return respondWithFile(res, small.path)
  })
  const client = await server.connect()
  for (let i = 0; i < 2; i++) {
    t.is((await client.get()).hash, sha256(small.bytes))
    t.is((await server.outcome(i)).error?.code, 'ERR_STREAM_WRITE_AFTER_END')
  }
})

test('what is written to the socket during the lease comes after the body', async (t) => {
  let socket: Socket | null = null
  const { client } = await underWay(t, large.path, (res) => {
    socket = res.socket
  })
  await client.head()
  const parts: Buffer[] = []
  while (parts.length < 256) {
    // Whenever there is room again, both want it.
    parts.push(await client.take(large.bytes.length / 256))
    if (parts.length < 200) (socket as Socket | null)?.write('after')
  }
  t.is(sha256(Buffer.concat(parts)), sha256(large.bytes))
  t.is((await client.take(5 * 199)).toString(), 'after'.repeat(199))
})

test('a response is left as Node leaves one that has ended', async (t) => {
  for (const { path } of [small, large]) {
    const events: string[] = []
    let res: ServerResponse | undefined
    const server = await serve(t, (response) => {
      res = response
      for (const name of ['prefinish', 'finish', 'close', 'error']) res.on(name, () => events.push(name))
      return respondWithFile(response, path)
    })
    const client = await server.connect()
    t.true((await client.get()).complete)
    if (!events.includes('close')) await once(res ?? process, 'close')
    t.deepEqual(events, ['prefinish', 'finish', 'close'])
    t.like(res, { headersSent: true, writableEnded: true, writableFinished: true, destroyed: true })
    for (const method of ['write', 'end'] as const)
      t.true(res?.[method] === ServerResponse.prototype[method], method)
  }
})

test('a hook of writeHead may send another file first', async (t) => {
  const others: ServerResponse[] = []
  const outcomes: Promise<unknown>[] = []
  const server = await serve(t, (res, req) => {
    if (req.url === '/other') {
      others.push(res)
      return Promise.resolve({ bytes: 0, mechanism: 'stream', fallbacks: [] })
    }
    const writeHead: (status: number) => typeof res = res.writeHead.bind(res)
    res.writeHead = (status: number): typeof res => {
      for (const other of others.splice(0)) outcomes.push(respondWithFile(other, large.path, { end: 9999 }))
      return writeHead(status)
    }
    return respondWithFile(res, small.path)
  })
  const [first, second] = [await server.connect(), await server.connect()]
  first.request('/other')
  await until('the other request', () => others.length === 1)
  t.is((await second.get()).hash, sha256(small.bytes))
  t.is((await first.answer()).hash, sha256(large.bytes.subarray(0, 10_000)))
  t.is((await Promise.all(outcomes)).length, 1)
})

test('a class of responses of its own is served, past Node unless it writes otherwise', async (t) => {
  class Plain extends ServerResponse {}
  class Counting extends ServerResponse {
    override write(chunk: string): boolean {
      return super.write(chunk)
    }
  }
  for (const [type, mechanism] of [
    [Plain, 'sendfile'],
    [Counting, 'stream'],
  ] as const) {
    const server = await serve(t, (res) => respondWithFile(res, large.path), {
      ServerResponse: type as typeof ServerResponse,
    })
    const client = await server.connect()
    t.is((await client.get()).hash, sha256(large.bytes))
    t.is((await server.outcome()).value?.mechanism, mechanism)
  }
})

test('a file handle may be closed once its file is under way', async (t) => {
  const handle = await open(large.path)
  const server = await serve(
    t,
    (res) => {
      const sending = respondWithFile(res, handle)
      void handle.close()
      return sending
    },
    { unix: true },
  )
  const client = await server.connect()
  t.is((await client.get()).hash, sha256(large.bytes))
})
