// Servers in worker threads: each by itself, and none leaves anything behind, whenever it ends.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { makeFile, sha256 } from '../helpers/files.js'
import { HttpClient } from '../helpers/http-client.js'
import { openDescriptors, threads } from '../helpers/processes.js'
import { until } from '../helpers/wait.js'

const file = makeFile(16 * 1024 * 1024)

/** Elsewhere than in the worker threads. */
const opened = open(file.path)
test.after.always(async () => (await opened).close())

async function start(t: ExecutionContext): Promise<{ worker: Worker; connect: () => Promise<HttpClient> }> {
  const workerData = { path: file.path, fd: (await opened).fd }
  const worker = new Worker(new URL('../fixtures/serving-worker.ts', import.meta.url), { workerData })
  t.teardown(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]
  return {
    worker,
    connect: async () => {
      const client = await HttpClient.connect({ port, host: '127.0.0.1' })
      t.teardown(() => {
        client.destroy()
      })
      return client
    },
  }
}

function heldOpen(): number {
  return openDescriptors().filter((path) => path === file.path).length
}

test.serial('each worker thread serves files by itself, all on one reactor', async (t) => {
  const servers = await Promise.all([start(t), start(t), start(t)])
  const clients = await Promise.all(servers.map(({ connect }) => connect()))
  for (let i = 0; i < 3; i++) {
    const answers = await Promise.all(clients.map((client) => client.get()))
    for (const { hash } of answers) t.is(hash, sha256(file.bytes))
  }
  t.is(threads().filter((name) => name === 'zcio-reactor').length, 1)
})

test.serial(
  'a worker thread that is terminated midway takes its transfers with it, and no others',
  async (t) => {
    const staying = await start(t)
    for (let i = 0; i < 5; i++) {
      const going = await start(t)
      const clients = await Promise.all([going.connect(), going.connect(), going.connect()])
      const other = await staying.connect()
      for (const client of [...clients, other]) {
        client.request()
        await client.head()
      }
      await going.worker.terminate()
      for (const client of clients) t.true((await client.drain()) < file.bytes.length)
      t.is(sha256(await other.take(file.bytes.length)), sha256(file.bytes))
    }
    await until('the files to be closed', () => heldOpen() === 1)
  },
)

test.serial('a worker thread that ends between opening a file and sending it leaves none open', async (t) => {
  for (let i = 0; i < 3; i++) {
    const { worker, connect } = await start(t)
    const ended = once(worker, 'exit')
    const client = await connect()
    client.request('/exit')
    t.is(await client.drain(), 0)
    t.deepEqual(await ended, [7])
  }
  await until('the files to be closed', () => heldOpen() === 1)
})

test.serial('a worker thread closes what it has opened, and Node has nothing to warn of', async (t) => {
  const { worker, connect } = await start(t)
  const warnings: unknown[] = []
  worker.on('message', (warning) => warnings.push(warning))
  const client = await connect()
  for (const path of ['/', '/slow', '/stream', '/slow', '/', '/stream']) {
    t.is((await client.get(path)).hash, sha256(file.bytes))
  }
  await until('the files to be closed', () => heldOpen() === 1)
  await worker.terminate()
  t.deepEqual(warnings, [])
})

test.serial('a worker thread ends by itself after its last transfer', async (t) => {
  const { worker, connect } = await start(t)
  const client = await connect()
  t.is((await client.get()).hash, sha256(file.bytes))
  const ended = once(worker, 'exit')
  worker.postMessage('close')
  client.destroy()
  t.deepEqual(await ended, [0])
})
