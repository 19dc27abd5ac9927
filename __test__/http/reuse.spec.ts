// Responses that leave together share what the first of them has found; whatever they ask for, each gets what is its own.

import test from 'ava'
import fc from 'fast-check'
import { readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { respondWithFile, serveStatic, type ServeStaticOptions } from 'zcio/http'
import { tell } from '../helpers/children.js'
import { crowd, never } from '../helpers/crowd.js'
import { makeFile, pathFor, pattern, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import type { Handler } from '../helpers/http-server.js'
import { put } from '../helpers/static-server.js'
import { until } from '../helpers/wait.js'

/** One for each way a body goes, and two of those that are read. */
const SIZES = { empty: 0, tiny: 100, small: 5000, medium: 60_000, large: 400_000, huge: 3_000_000 }

const contents = new Map(Object.entries(SIZES).map(([name, size]) => [name, pattern(size, size)]))

function makeServed(): string {
  const root = pathFor('served')
  for (const [name, bytes] of contents) put(root, name, bytes)
  return root
}

function serving(root: string, options?: ServeStaticOptions): Handler {
  const handler = serveStatic(root, options)
  return (res, req) => {
    handler(req, res, () => res.end('nobody'))
    return Promise.resolve(never)
  }
}

/** How many files of a directory this process has open. */
function openFiles(root: string): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      // That of the directory itself.
      return ''
    }
  })
  return targets.filter((target) => target.startsWith(root)).length
}

for (const name of ['small', 'medium']) {
  const bytes = contents.get(name) ?? Buffer.alloc(0)

  test.serial(
    `what one response of serveStatic finds, ${bytes.length} bytes, serves all of its turn`,
    async (t) => {
      const root = makeServed()
      let calls = 0
      const setHeaders = (): void => {
        // The first of the second turn.
        if (++calls === 5) rmSync(join(root, name))
      }
      const { clients, askTogether } = await crowd(t, 4, serving(root, { setHeaders }))
      for (const expected of [bytes, bytes, Buffer.from('nobody')]) {
        askTogether(`/${name}`)
        for (const client of clients) t.is((await client.answer()).hash, sha256(expected))
      }
    },
  )

  test.serial(`what one respondWithFile finds, ${bytes.length} bytes, serves all of its turn`, async (t) => {
    const file = makeFile(bytes)
    const successor = makeFile(pattern(bytes.length + 1, 1))
    let calls = 0
    const onProgress = (): void => {
      // The first of the second turn.
      if (++calls === 5) renameSync(successor.path, file.path)
    }
    const { clients, askTogether } = await crowd(t, 4, (res) =>
      respondWithFile(res, file.path, { onProgress }),
    )
    for (const expected of [bytes, bytes, successor.bytes]) {
      askTogether()
      for (const client of clients) t.is((await client.answer()).hash, sha256(expected))
    }
  })
}

test.serial('a turn with more files than are kept open leaves none of them open', async (t) => {
  const root = pathFor('many')
  const bodies = Array.from({ length: 80 }, (_, i) => pattern(40_000 + i, i))
  for (const [i, bytes] of bodies.entries()) put(root, String(i), bytes)
  const { clients } = await crowd(t, bodies.length, serving(root))
  for (let turn = 0; turn < 3; turn++) {
    for (const [i, client] of clients.entries()) client.request(`/${i}`)
    const answers = await Promise.all(clients.map((client) => client.answer()))
    t.deepEqual(
      answers.map(({ hash }) => hash),
      bodies.map(sha256),
    )
  }
  t.is(openFiles(root), 0)
})

test('files that are kept open take no descriptor from the others of their turn', async (t) => {
  const root = pathFor('scarce')
  const bodies = Array.from({ length: 12 }, (_, i) => pattern(40_000 + i, i))
  for (const [i, bytes] of bodies.entries()) put(root, String(i), bytes)
  const told = await tell(
    `
    import { createHash } from 'node:crypto'
    import { once } from 'node:events'
    import { closeSync, openSync } from 'node:fs'
    import { createServer } from 'node:http'
    import { connect } from 'node:net'
    import { serveStatic } from 'zcio/http'

    const server = createServer(serveStatic(process.argv[1])).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const clients = Array.from({ length: 12 }, () => connect(server.address().port, '127.0.0.1'))
    await Promise.all(clients.map((client) => once(client, 'connect')))
    const answers = clients.map(() => Buffer.alloc(0))
    clients.forEach((client, i) => client.on('data', (data) => { answers[i] = Buffer.concat([answers[i], data]) }))
    const bodyOf = (answer) => answer.subarray(answer.indexOf('\\r\\n\\r\\n') + 4)
    const askTogether = async () => {
      answers.fill(Buffer.alloc(0))
      clients.forEach((client, i) => client.write('GET /' + i + ' HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n'))
      const isHere = (answer) => answer.includes(' 500 ') || bodyOf(answer).length >= 40_000
      while (!answers.every(isHere)) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await askTogether()
    const hoard = []
    try { for (;;) hoard.push(openSync('/dev/null')) } catch {}
    for (let i = 0; i < 3; i++) closeSync(hoard.pop())
    await askTogether()
    for (const fd of hoard) closeSync(fd)
    for (const client of clients) client.destroy()
    server.close()
    console.log(JSON.stringify(answers.map((answer) => createHash('sha256').update(bodyOf(answer)).digest('hex'))))
    `,
    { before: 'ulimit -n 200', args: [root] },
  )
  t.deepEqual(told, bodies.map(sha256))
})

test.serial('a file that is written anew is looked at anew in the next turn', async (t) => {
  const root = makeServed()
  const { clients, askTogether } = await crowd(t, 4, serving(root))
  for (let turn = 0; turn < 4; turn++) {
    const bytes = pattern(40_000 + turn, turn)
    writeFileSync(join(root, 'medium'), bytes)
    askTogether('/medium')
    for (const client of clients) t.is((await client.answer()).hash, sha256(bytes))
  }
})

/** What a client asks for: a file, all or some of it, or only after it. */
interface Wish {
  name: string
  how: 'whole' | 'head' | 'part' | 'unmodified'
  /** Where a part begins, in percent. */
  at: number
}

const wish: fc.Arbitrary<Wish> = fc.record({
  name: fc.constantFrom(...contents.keys()),
  how: fc.constantFrom('whole', 'whole', 'head', 'part', 'unmodified'),
  at: fc.nat(99),
})

const CLIENTS = 8
const turn = fc.array(wish, { minLength: CLIENTS, maxLength: CLIENTS })

/** What is sent for it, and what has to come. */
function interpret({ name, how, at }: Wish, tags: Map<string, string>) {
  const bytes = contents.get(name) ?? Buffer.alloc(0)
  const first = Math.floor((bytes.length * at) / 100)
  const none = sha256(Buffer.alloc(0))
  if (how === 'head') return { method: 'HEAD', headers: [], status: 200, hash: none }
  if (how === 'unmodified')
    return { method: 'GET', headers: [`If-None-Match: ${tags.get(name) ?? ''}`], status: 304, hash: none }
  if (how === 'whole' || bytes.length === 0)
    return { method: 'GET', headers: [], status: 200, hash: sha256(bytes) }
  return {
    method: 'GET',
    headers: [`Range: bytes=${first}-`],
    status: 206,
    hash: sha256(bytes.subarray(first)),
  }
}

for (const door of ['tcp', 'unix']) {
  test.serial(`whatever is asked for in one turn over ${door}, each gets its own`, async (t) => {
    const root = makeServed()
    const { clients, askTogether } = await crowd(t, CLIENTS, serving(root), { unix: door === 'unix' })
    const tags = new Map<string, string>()
    for (const name of contents.keys()) {
      askTogether(`/${name}`)
      for (const client of clients) tags.set(name, (await client.answer()).headers.etag ?? '')
    }
    const satisfy = async (client: HttpClient, wish: Wish | undefined): Promise<void> => {
      if (wish === undefined) throw new Error('there is one for each')
      const { method, headers, status, hash } = interpret(wish, tags)
      const answer = await client.get(`/${wish.name}`, method, ...headers)
      t.deepEqual([answer.status, answer.hash], [status, hash], JSON.stringify(wish))
    }
    await fc.assert(
      fc.asyncProperty(turn, async (wishes) => {
        await Promise.all(clients.map((client, i) => satisfy(client, wishes[i])))
      }),
      { numRuns: 100, endOnFailure: true },
    )
    await until('the files to be closed', () => openFiles(root) === 0)
  })
}
