// What becomes of an answer when somebody goes away, or changes their mind, before it is complete.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { respondWithFile } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { fillSendBuffer, serve, serveFile, type TestServer } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { until } from '../helpers/wait.js'

/** More than a machine's socket buffers hold. */
const size = 32 * 1024 * 1024
const file = makeFile(size)

/** A client that has begun to read, and has stopped; and the response that it gets. */
async function midway(
  t: ExecutionContext,
  options: { signal?: AbortSignal; onProgress?: () => void } = {},
): Promise<{ server: TestServer; client: HttpClient; res: ServerResponse }> {
  let res: ServerResponse | undefined
  const server = await serve(t, (response) => respondWithFile((res = response), file.path, options))
  const client = await server.connect()
  client.request()
  await client.head()
  t.is((await client.take(100_000)).length, 100_000)
  if (res === undefined) throw new Error('there is no response')
  return { server, client, res }
}

test('a client that resets the connection midway ends the transfer', async (t) => {
  const { server, client, res } = await midway(t)
  const events = eventsOf(res)
  client.reset()
  const { error } = await server.outcome()
  t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  t.true((error?.bytes ?? 0) >= 100_000)
  t.true((error?.bytes ?? size) < size)
  await until('close', () => events.includes('close'))
  t.false(events.includes('finish'), 'an answer that was cut off has not finished')
})

test('a client that closes the connection midway ends the transfer', async (t) => {
  const { server, client, res } = await midway(t)
  const events = eventsOf(res)
  client.destroy()
  t.is((await server.outcome()).error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  await until('close', () => events.includes('close'))
  t.false(events.includes('finish'))
})

test('a client that says FIN midway is cut off, as by Node', async (t) => {
  const { server, client } = await midway(t)
  client.finish()
  t.is((await server.outcome()).error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
  t.true((await client.drain()) < size)
})

test('where the server allows half-open connections, a client that says FIN gets all', async (t) => {
  const { server, client } = await midway(t)
  Object.assign(server.server, { httpAllowHalfOpen: true })
  client.finish()
  t.is((await client.drain()) + 100_000, size)
  t.is((await server.outcome()).value?.bytes, size)
})

for (const what of ['response', 'socket'] as const) {
  test(`a ${what} that is destroyed midway ends the transfer, and the client learns of it`, async (t) => {
    const { server, client, res } = await midway(t)
    const events = eventsOf(res)
    if (what === 'socket') res.socket?.destroy()
    else res.destroy()
    const { error } = await server.outcome()
    t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    t.true((error?.bytes ?? size) < size)
    // The engine has a duplicate of the socket: without shutdown(2), FIN would wait for it.
    t.true((await client.drain()) < size)
    await until('close', () => events.includes('close'))
    t.false(events.includes('finish'))
  })
}

test('a connection that is destroyed before the call takes nothing', async (t) => {
  const server = await serve(t, (res) => {
    res.socket?.destroy()
    return respondWithFile(res, file.path)
  })
  const client = await server.connect()
  client.request()
  t.like((await server.outcome()).error, { code: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0 })
  t.is(await client.drain(), 0)
})

test('a response that is destroyed while its file is being opened takes nothing', async (t) => {
  const slow = await slowToOpen(t)
  const server = await serve(t, (res) => {
    const promise = respondWithFile(res, slow)
    res.destroy()
    return promise
  })
  const client = await server.connect()
  client.request()
  t.like((await server.outcome()).error, { code: 'ERR_STREAM_PREMATURE_CLOSE', bytes: 0 })
  t.is(await client.drain(), 0)
})

test('a response that is ended while its file is being opened takes nothing more', async (t) => {
  const slow = await slowToOpen(t)
  const server = await serve(t, (res) => {
    const promise = respondWithFile(res, slow)
    if (server.outcomes.length === 0) res.end('other')
    return promise
  })
  const client = await server.connect()
  t.is((await client.get()).hash, sha256(Buffer.from('other')))
  t.is((await server.outcome()).error?.code, 'ERR_STREAM_WRITE_AFTER_END')
  t.is((await client.get()).hash, sha256(file.bytes))
})

test('a signal that was aborted before stops the call, and nothing has been sent', async (t) => {
  const reason = new Error('because')
  const server = await serve(t, async (res) => {
    try {
      return await respondWithFile(res, file.path, { signal: AbortSignal.abort(reason) })
    } finally {
      t.false(res.headersSent)
      res.writeHead(503).end()
    }
  })
  const client = await server.connect()
  t.is((await client.get()).status, 503)
  const { error } = await server.outcome()
  t.like(error, { name: 'AbortError', code: 'ABORT_ERR', bytes: 0, cause: reason })
})

test('a signal that is aborted midway destroys the connection', async (t) => {
  const abort = new AbortController()
  const { server, client } = await midway(t, { signal: abort.signal })
  abort.abort()
  const { error } = await server.outcome()
  t.like(error, { name: 'AbortError', code: 'ABORT_ERR' })
  t.true((error?.bytes ?? 0) >= 100_000)
  t.true((await client.drain()) < size)
})

test('a signal that is aborted right after the call stops it', async (t) => {
  const server = await serve(t, async (res) => {
    const abort = new AbortController()
    const promise = respondWithFile(res, file.path, { signal: abort.signal })
    abort.abort()
    try {
      return await promise
    } finally {
      // It had to wait for other responses of its turn, if there were any.
      if (!res.headersSent) res.destroy()
    }
  })
  const client = await server.connect()
  client.request()
  t.is((await server.outcome()).error?.name, 'AbortError')
  t.true((await client.drain()) < size)
})

test('a signal that is aborted while the file is being opened stops the call before the head', async (t) => {
  const slow = await slowToOpen(t)
  const server = await serve(t, async (res) => {
    const abort = new AbortController()
    const promise = respondWithFile(res, slow, { signal: abort.signal })
    abort.abort()
    try {
      return await promise
    } finally {
      t.false(res.headersSent)
      res.writeHead(503).end()
    }
  })
  const client = await server.connect()
  t.is((await client.get()).status, 503)
  t.like((await server.outcome()).error, { name: 'AbortError', bytes: 0 })
})

test('a signal stops a call that waits behind bytes that the client does not read', async (t) => {
  const abort = new AbortController()
  const server = await serve(t, (res) => {
    res.socket?.write(Buffer.alloc(16 * 1024 * 1024))
    return respondWithFile(res, file.path, { signal: abort.signal })
  })
  const client = await server.connect()
  client.request()
  await until('the request', () => server.outcomes.length === 1)
  abort.abort()
  t.like((await server.outcome()).error, { name: 'AbortError', bytes: 0 })
})

test('a signal stops a call whose head is stuck in a full send buffer', async (t) => {
  const abort = new AbortController()
  const server = await serve(
    t,
    (res) => {
      if (res.socket) fillSendBuffer(res.socket)
      return respondWithFile(res, file.path, { signal: abort.signal })
    },
    { unix: true },
  )
  const client = await server.connect()
  client.request()
  await until('the request', () => server.outcomes.length === 1)
  abort.abort()
  t.like((await server.outcome()).error, { name: 'AbortError', bytes: 0 })
})

test('a signal that is aborted after the end changes nothing', async (t) => {
  const abort = new AbortController()
  const server = await serveFile(t, makeFile(1_000_000).path, { signal: abort.signal })
  const client = await server.connect()
  t.true((await client.get()).complete)
  await server.outcome()
  abort.abort()
  client.request('/', 'HEAD')
  t.is((await server.outcome(1)).error?.name, 'AbortError')
})

test('a client that goes while its answer waits in a full send buffer leaves nothing behind', async (t) => {
  for (const size of [4096, 65_536, 1_000_000]) {
    const { path } = makeFile(size)
    const server = await serve(
      t,
      (res) => {
        if (res.socket) fillSendBuffer(res.socket)
        return respondWithFile(res, path)
      },
      { unix: true },
    )
    const client = await server.connect()
    client.request()
    await until('the request', () => server.outcomes.length === 1)
    client.destroy()
    const { error } = await server.outcome()
    t.is(error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    t.is(error?.bytes, 0)
    t.false(openDescriptors().includes(path))
  }
})

test('answers that wait in a full send buffer arrive when the client reads again', async (t) => {
  for (const size of [0, 4096, 65_536, 1_000_000]) {
    const { path, bytes } = makeFile(size)
    let filling = 0
    const server = await serve(
      t,
      (res) => {
        if (res.socket) filling = fillSendBuffer(res.socket)
        return respondWithFile(res, path)
      },
      { unix: true },
    )
    const client = await server.connect()
    for (let i = 0; i < 2; i++) {
      client.request()
      await until('the request', () => server.outcomes.length === i + 1)
      await client.take(filling)
      t.is((await client.answer()).hash, sha256(bytes))
      t.is((await server.outcome(i)).value?.bytes, size)
    }
  }
})

/** A path that the kernel has in no cache: it is opened on another thread, however often. */
async function slowToOpen(t: ExecutionContext): Promise<string> {
  const handle = await open(file.path)
  t.teardown(() => handle.close())
  return `/proc/self/fd/${handle.fd}`
}

function eventsOf(res: ServerResponse): string[] {
  const events: string[] = []
  for (const name of ['finish', 'close']) void once(res, name).then(() => events.push(name))
  return events
}
