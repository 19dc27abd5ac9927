// Random clients ask for the same thing twice, once by each of the four ways in and once by Node's: whatever they ask
// for, cut their requests up and stall, they get the same bytes, and the connection is as good as before.

import test from 'ava'
import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { counterpart, WAYS } from '../../fixtures/ways.js'
import { FileServer } from '../../helpers/file-server.js'
import type { HttpClient } from '../../helpers/http-client.js'
import { within } from '../../helpers/wait.js'
import { makeServed, pace, readAt, SIZES, type Pace } from '../../helpers/ways.js'

interface Asked {
  method: string
  path: string
  headers: string[]
  pace: Pace
}

interface Conversation {
  requests: Asked[]
  /** Where what is sent is cut, as parts of its length, and for how many ms nothing follows. */
  cuts: { at: number; stall: number }[]
  /** Whether a request waits for the answers to those before. */
  waits: boolean[]
  door: 'tcp' | 'unix'
  /** Whether the last request wants the connection closed. */
  closes: boolean
}

const { root, files } = makeServed(SIZES)
const serverOf = FileServer.shared(test, [...WAYS, 'streams', 'serve-static'], root)

/** More of them find more: ZCIO_RUNS. */
const RUNS = Number(process.env.ZCIO_RUNS ?? 30)

const bound = fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(70_000), fc.nat(400_000))
const header = fc.oneof(
  fc.tuple(bound, bound).map(([a, b]) => `Range: bytes=${Math.min(a, b)}-${Math.max(a, b)}`),
  bound.map((first) => `Range: bytes=${first}-`),
  bound.map((last) => `Range: bytes=-${last}`),
  fc.constantFrom('Range: bytes=9-1', 'Range: rubbish', 'Range: bytes=0-0,2-2', 'If-Range: "x"'),
  fc.constantFrom('If-None-Match: *', 'If-None-Match: "4097"', 'If-Modified-Since: rubbish'),
  fc.constantFrom('Cache-Control: no-cache', 'Accept-Encoding: gzip', 'Connection: keep-alive', 'X-Other: 1'),
)
const strange = [
  '/',
  '/missing',
  '/%',
  '/%00',
  '/..%2fsmall.bin',
  '//small.bin',
  '/small.bin/',
  '/small.bin?x=1',
]
const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'POST'),
  path: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...Object.values(files).map(({ url }) => url)) },
    { weight: 1, arbitrary: fc.constantFrom(...strange) },
  ),
  headers: fc.array(header, { maxLength: 3 }),
  pace,
})
const conversation: fc.Arbitrary<Conversation> = fc.record({
  requests: fc.array(asked, { minLength: 1, maxLength: 7 }),
  cuts: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), stall: fc.nat(6) }), {
    maxLength: 6,
  }),
  waits: fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
  door: fc.constantFrom('tcp', 'unix'),
  closes: fc.boolean(),
})

for (const way of WAYS) {
  test.serial(`whatever is asked for, ${way} answers with Node's bytes`, async (t) => {
    const property = fc.asyncProperty(conversation, async (one) => {
      const [ours, theirs] = await Promise.all([
        converse(serverOf(way), one),
        converse(serverOf(counterpart(way) as 'streams'), one),
      ])
      for (const [i, { head, body }] of ours.entries()) {
        const other = theirs[i] ?? { head: 'none', body: Buffer.of() }
        if (head !== other.head) throw new Error(`answer ${i}: ${head}\ninstead of\n${other.head}`)
        if (!body.equals(other.body)) throw new Error(`answer ${i}: ${difference(body, other.body)}`)
      }
    })
    await t.notThrowsAsync(fc.assert(property, { numRuns: RUNS }))
  })
}

/** One connection, to its end: what came of each request, and of one more that shows that the connection is sound. */
async function converse(server: FileServer, one: Conversation): Promise<{ head: string; body: Buffer }[]> {
  const client = await server.connect(one.door)
  client.socket.setNoDelay(true)
  const answers: { head: string; body: Buffer }[] = []
  const speaking = speak(client, one, answers)
  for (const { method, pace } of one.requests) answers.push(await readAt(client, pace, method))
  await within('all to be asked', speaking)
  if (one.closes) {
    if ((await client.drain()) > 0) throw new Error('more came than was asked for')
  } else {
    client.request('/small.bin')
    answers.push(await readAt(client, []))
  }
  client.destroy()
  return answers
}

/** Sends the requests, those that wait for none in one go, cut where the conversation says. */
async function speak(client: HttpClient, one: Conversation, answers: readonly unknown[]): Promise<void> {
  let batch = ''
  for (const [i, request] of one.requests.entries()) {
    const isLast = i === one.requests.length - 1
    batch += textOf(request, isLast && one.closes)
    if (!isLast && !one.waits[i]) continue
    await sendInPieces(client, batch, one.cuts)
    batch = ''
    while (one.waits[i] && answers.length <= i && !client.socket.destroyed) await sleep(1)
  }
}

function textOf({ method: wanted, path, headers }: Asked, closes: boolean): string {
  // A body that arrives when the connection has been closed is met by RST, which costs what the client has not read.
  const method = closes && wanted === 'POST' ? 'GET' : wanted
  const body = method === 'POST' ? 'a body that nobody reads' : ''
  const length = body === '' ? [] : [`Content-Length: ${body.length}`]
  const close = closes ? ['Connection: close'] : []
  const own = headers.filter((field) => !closes || !field.startsWith('Connection'))
  return [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...own, ...length, ...close, '', body].join('\r\n')
}

async function sendInPieces(client: HttpClient, text: string, cuts: Conversation['cuts']): Promise<void> {
  const sorted = cuts.toSorted((a, b) => a.at - b.at)
  let from = 0
  for (const { at, stall } of sorted) {
    // Never all of it: on a UNIX socket whose server has answered and gone, an empty write is EPIPE, and destroys what came.
    const to = Math.floor(at * (text.length - 1))
    client.socket.write(text.slice(from, to))
    from = to
    await sleep(stall)
  }
  client.socket.write(text.slice(from))
}

function difference(ours: Buffer, theirs: Buffer): string {
  const at = ours.findIndex((byte, i) => byte !== theirs[i])
  return `${ours.length} bytes instead of ${theirs.length}, alike up to ${at}`
}
