// Many requests in one turn of the event loop: their responses leave together when it ends, and all else is as ever.

import test, { type ExecutionContext } from 'ava'
import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync, openSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { respondWithFile, serveStatic, type RespondOptions } from 'zcio/http'
import { tell } from '../helpers/children.js'
import { crowd, never } from '../helpers/crowd.js'
import { makeFile, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import type { Handler, Outcome } from '../helpers/http-server.js'
import { makeRoot } from '../helpers/static-server.js'
import { until } from '../helpers/wait.js'

const small = makeFile(5000)
const medium = makeFile(60_000)
const large = makeFile(5_000_000)

test.serial('a response that is alone in its turn leaves at once, the others when theirs ends', async (t) => {
  const left: boolean[] = []
  const { clients, askTogether } = await crowd(t, 3, (res) => {
    const sending = respondWithFile(res, small.path)
    left.push(res.writableEnded)
    return sending
  })
  const [first] = clients
  for (const expected of [[true, false, false], [false, false, false], [false], [true]]) {
    left.length = 0
    if (expected.length > 1) askTogether()
    else first?.request('/together')
    for (const client of clients.slice(0, expected.length))
      t.is((await client.answer()).hash, sha256(small.bytes))
    t.deepEqual(left, expected)
  }
})

test.serial('every way a body goes is as it is alone', async (t) => {
  const files = [small, medium, large, small, medium, large]
  let next = 0
  const { clients, askTogether, outcomes } = await crowd(t, files.length, (res) =>
    respondWithFile(res, files[next++]?.path ?? ''),
  )
  askTogether()
  const hashes = await Promise.all(clients.map(async (client) => (await client.answer()).hash))
  t.deepEqual(
    hashes,
    files.map(({ bytes }) => sha256(bytes)),
  )
  t.deepEqual(
    (await outcomes()).map(({ value }) => [value?.bytes, value?.mechanism]),
    files.map((file) => [file.bytes.length, file === small ? 'read_write' : 'sendfile']),
  )
})

test.serial('each is sent in the async context of its request', async (t) => {
  const context = new AsyncLocalStorage<number>()
  const finished: (number | undefined)[] = []
  const told: (number | undefined)[] = []
  let request = 0
  const { clients, askTogether, outcomes } = await crowd(t, 4, (res) =>
    context.run(++request, async () => {
      res.on('finish', () => finished.push(context.getStore()))
      const result = await respondWithFile(res, small.path)
      told.push(context.getStore())
      return result
    }),
  )
  askTogether()
  for (const client of clients) t.is((await client.answer()).hash, sha256(small.bytes))
  await outcomes()
  await until("every 'finish'", () => finished.length === 4)
  t.deepEqual(
    [finished.sort(), told.sort()],
    [
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ],
  )
})

/** Two requests in one turn, of which the second waits, and `meanwhile` happens to it. */
async function waiting(
  t: ExecutionContext,
  path: string,
  meanwhile: (res: ServerResponse) => void,
  options: RespondOptions = {},
): Promise<{ client: HttpClient; outcome: () => Promise<Outcome>; sent: () => boolean | undefined }> {
  let headersSent: boolean | undefined
  let requests = 0
  const { clients, askTogether, outcomes } = await crowd(t, 2, (res) => {
    if (++requests === 1) return respondWithFile(res, small.path)
    const sending = respondWithFile(res, path, options)
    t.false(res.writableEnded)
    meanwhile(res)
    sending.catch(() => {
      headersSent = res.headersSent
    })
    return sending
  })
  askTogether()
  const [first, client] = clients
  t.is((await first?.answer())?.hash, sha256(small.bytes))
  if (client === undefined) throw new Error('there are two')
  return { client, outcome: async () => (await outcomes())[1] ?? {}, sent: () => headersSent }
}

for (const file of [small, medium, large]) {
  const size = `${file.bytes.length} bytes`

  test.serial(`what is written to a response that waits with ${size} comes after them`, async (t) => {
    const errors: string[] = []
    const { client } = await waiting(t, file.path, (res) => {
      res.on('error', ({ code }: NodeJS.ErrnoException) => errors.push(code ?? ''))
      res.write('overtaking')
      res.end('lengthening')
    })
    t.is((await client.answer()).hash, sha256(file.bytes))
    t.is((await client.get('/alone')).hash, sha256(small.bytes), 'the next response is in its place')
    t.deepEqual(errors, ['ERR_STREAM_WRITE_AFTER_END', 'ERR_STREAM_WRITE_AFTER_END'])
  })

  test.serial(`a response that waits with ${size} takes no other file`, async (t) => {
    let other: Promise<unknown> | undefined
    const { client } = await waiting(t, file.path, (res) => {
      other = t.throwsAsync(respondWithFile(res, small.path), { code: 'ERR_ZCIO_BUSY' })
    })
    t.is((await client.answer()).hash, sha256(file.bytes))
    await other
  })

  test.serial(`a signal stops a response that waits with ${size} before its head`, async (t) => {
    const abort = new AbortController()
    const { outcome, sent } = await waiting(
      t,
      file.path,
      () => {
        abort.abort()
      },
      { signal: abort.signal },
    )
    t.like((await outcome()).error, { name: 'AbortError', bytes: 0 })
    t.false(sent())
  })

  test.serial(`a response that is destroyed while it waits with ${size} says so`, async (t) => {
    const { client, outcome } = await waiting(t, file.path, (res) => res.destroy())
    t.is((await outcome()).error?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    t.is(await client.drain(), 0)
  })
}

test.serial('a file that is not there is told of, and the response is as it was', async (t) => {
  const { outcome, sent } = await waiting(t, '/nowhere', () => undefined)
  t.is((await outcome()).error?.code, 'ENOENT')
  t.false(sent())
})

test.serial('an open file does not wait, since it may be closed before the turn ends', async (t) => {
  const left: boolean[] = []
  const { clients, askTogether } = await crowd(t, 3, (res) => {
    const fd = openSync(small.path, 'r')
    const sending = respondWithFile(res, fd)
    closeSync(fd)
    left.push(res.writableEnded)
    return sending
  })
  askTogether()
  for (const client of clients) t.is((await client.answer()).hash, sha256(small.bytes))
  t.deepEqual(left, [true, true, true])
})

test.serial('methods of its own stay on a response', async (t) => {
  const written: number[] = []
  const { clients, askTogether } = await crowd(t, 3, (res) => {
    const own = res.end.bind(res) as (...args: unknown[]) => ServerResponse
    const end = (...args: unknown[]): ServerResponse => {
      written.push(res.end === end ? 1 : 0)
      return own(...args)
    }
    res.end = end
    return respondWithFile(res, small.path)
  })
  askTogether()
  for (const client of clients) t.is((await client.answer()).hash, sha256(small.bytes))
  t.deepEqual(written, [1, 1, 1])
})

/** A directory that is served; behind it answers one who notes whether it was handed on at once. */
function serving(root: string, handedOn: boolean[]): Handler {
  const handler = serveStatic(root)
  return (res, req) => {
    let isHandedOn = false
    handler(req, res, () => {
      isHandedOn = true
      res.end('nobody')
    })
    handedOn.push(isHandedOn)
    return Promise.resolve(never)
  }
}

test.serial('serveStatic has responses wait whose files it knows', async (t) => {
  const root = makeRoot()
  const handedOn: boolean[] = []
  const { clients, askTogether } = await crowd(t, 4, serving(root, handedOn))
  for (const bytes of [4097, 4097, 6]) {
    handedOn.length = 0
    if (bytes === 6) rmSync(join(root, 'file.txt'))
    askTogether('/file.txt')
    for (const client of clients) t.is((await client.answer()).bytes, bytes)
    t.deepEqual(handedOn, [false, false, false, false])
  }
})

test.serial('serveStatic hands on at once what it has never found', async (t) => {
  const handedOn: boolean[] = []
  const { clients, askTogether } = await crowd(t, 4, serving(makeRoot(), handedOn))
  // The first of all has to wait for the disk to say that there is none.
  for (let turn = 0; turn < 2; turn++) {
    handedOn.length = 0
    askTogether()
    for (const client of clients) t.is((await client.answer()).bytes, 6)
  }
  t.deepEqual(handedOn, [true, true, true, true])
})

test('a hook that throws is told of, and the others of its turn are answered', async (t) => {
  const told = await tell(
    `
    import { once } from 'node:events'
    import { createServer } from 'node:http'
    import { connect } from 'node:net'
    import { serveStatic } from 'zcio/http'

    const errors = []
    process.on('uncaughtException', ({ message }) => errors.push(message))
    let calls = 0
    const setHeaders = () => {
      calls += 1
      if (calls === 6) throw new Error('the hook')
    }
    const server = createServer(serveStatic(process.argv[1], { setHeaders })).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    const clients = Array.from({ length: 4 }, () => connect(port, '127.0.0.1'))
    await Promise.all(clients.map((client) => once(client, 'connect')))
    const bytes = clients.map(() => 0)
    clients.forEach((client, i) => client.on('data', (data) => { bytes[i] += data.length }))
    const askTogether = async (wanted) => {
      bytes.fill(0)
      for (const client of clients) client.write('GET /file.txt HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n')
      while (bytes.filter((sum) => sum > 4097).length < wanted) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await askTogether(4)
    await askTogether(3)
    for (const client of clients) client.destroy()
    server.close()
    console.log(JSON.stringify({ errors, silent: bytes.filter((sum) => sum === 0).length }))
    `,
    { args: [makeRoot()] },
  )
  t.deepEqual(told, { errors: ['the hook'], silent: 1 })
})
