// What a response is while it waits for its client: kept from other calls, cheap, and as it was before when it is over.

import test, { type ExecutionContext } from 'ava'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { respondWithFile, serveStatic } from 'zcio/http'
import { makeFile, sha256 } from '../helpers/files.js'
import { serve, type Handler } from '../helpers/http-server.js'
import { until } from '../helpers/wait.js'

const MiB = 1024 * 1024
const file = makeFile(4 * MiB)

test('a call that was kept and then throws is told, and the response is whole', async (t) => {
  const server = await serve(
    t,
    (res) => {
      const sending = respondWithFile(res, file.path)
      t.false(res.write(5))
      return sending
    },
    { unix: true },
  )
  const client = await server.connect()
  for (let i = 0; i < 2; i++) {
    t.is((await client.get()).hash, sha256(file.bytes))
    t.is((await server.outcome(i)).error?.code, 'ERR_INVALID_ARG_TYPE')
  }
})

test('a short part of a file that the socket does not take at once arrives once', async (t) => {
  const fd = openSync(file.path, 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  const part = file.bytes.subarray(0, 30_000)
  const serveFiles = serveStatic(dirname(file.path))
  const handlers: Handler[] = [
    (res) => respondWithFile(res, fd, { end: part.length - 1 }),
    async (res) => {
      serveFiles(res.req, res)
      await once(res, 'close')
      return { bytes: part.length, mechanism: 'read_write', fallbacks: [] }
    },
  ]
  for (const handler of handlers) {
    const client = await (await serve(t, handler, { unix: true })).connect()
    const range = `Range: bytes=0-${part.length - 1}`
    for (let i = 0; i < 40; i++) client.request(`/${basename(file.path)}`, 'GET', range)
    // More than the socket holds; nothing is read before it is full.
    await sleep(100)
    for (let i = 0; i < 40; i++) {
      const { complete, hash } = await client.answer()
      t.deepEqual({ complete, hash }, { complete: true, hash: sha256(part) }, `answer ${i}`)
    }
  }
})

test.serial('nothing of it is left on the response and on its socket', async (t) => {
  const look = (res: ServerResponse): number[] => {
    const kept = [res.write !== ServerResponse.prototype.write, res.end !== ServerResponse.prototype.end]
    return [
      kept.filter(Boolean).length,
      res.req.socket.listeners('close').length,
      res.req.socket.writableCorked,
    ]
  }
  const seen: number[][] = []
  const server = await serve(
    t,
    async (res) => {
      seen.push(look(res))
      const sending = respondWithFile(res, file.path)
      seen.push(look(res))
      const result = await sending
      seen.push(look(res))
      return result
    },
    { unix: true },
  )
  const client = await server.connect()
  for (let i = 0; i < 2; i++) {
    t.is((await client.get()).hash, sha256(file.bytes))
    t.is((await server.outcome(i)).value?.mechanism, 'sendfile')
  }
  // Node's own listener, of the response, has gone by then.
  t.deepEqual(seen.slice(0, 3), [
    [0, 2, 0],
    [2, 3, 1],
    [0, 1, 0],
  ])
  t.deepEqual(seen.slice(3), seen.slice(0, 3))
})

test('who listens for the end of the response hears of it in the context of the request', async (t) => {
  const context = new AsyncLocalStorage<number>()
  const seen: (number | undefined)[] = []
  let request = 0
  const server = await serve(
    t,
    (res) =>
      context.run(++request, () => {
        res.on('finish', () => seen.push(context.getStore()))
        return respondWithFile(res, file.path)
      }),
    { unix: true },
  )
  const client = await server.connect()
  for (let i = 0; i < 2; i++) t.is((await client.get()).hash, sha256(file.bytes))
  await until('both to be told', () => seen.length === 2)
  t.deepEqual(seen, [1, 2])
})

test.serial('a client that does not read costs less than 2 KiB of heap beyond its connection', async (t) => {
  const bare = await heapOf(t, (res) => {
    res.setHeader('Content-Length', file.bytes.length)
    res.flushHeaders()
    return new Promise(() => undefined)
  })
  const waiting = await heapOf(t, (res) => respondWithFile(res, file.path))
  t.true(waiting - bare < 2048, `${waiting - bare} bytes`)
})

/** What each of some clients that do not read adds to the heap, their own ends included. */
async function heapOf(t: ExecutionContext, handler: Handler): Promise<number> {
  const clients = 100
  const server = await serve(t, handler, { unix: true })
  const stall = async (): Promise<number> => {
    const before = server.outcomes.length
    for (let i = 0; i < clients; i++) (await server.connect()).request()
    await until('all to be under way', () => server.outcomes.length === before + clients)
    return settledHeap()
  }
  // The first time everything is made that is made once.
  const before = await stall()
  return ((await stall()) - before) / clients
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is in use when nothing is left to collect: compiled code, for one, is given up only after a while. */
async function settledHeap(): Promise<number> {
  let used = Infinity
  await until('the heap to be settled', () => {
    const before = used
    collect()
    used = getHeapStatistics().used_heap_size
    return Math.abs(used - before) < 1024
  })
  return used
}
