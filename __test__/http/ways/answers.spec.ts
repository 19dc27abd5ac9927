// The four ways in answer as Node's streams do, to the byte: whatever the application has done to the response before,
// whatever is asked for, one request after the other or all at once, and over every protocol.

import test from 'ava'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import { buffer } from 'node:stream/consumers'
import { before, IDLING, PREPARATIONS } from '../../fixtures/preparations.js'
import { counterpart, WAYS, type Way } from '../../fixtures/ways.js'
import { FileServer } from '../../helpers/file-server.js'
import { sha256 } from '../../helpers/files.js'
import type { HttpClient } from '../../helpers/http-client.js'
import { makeServed, SIZES, timeless } from '../../helpers/ways.js'

type Request = [path: string, method?: string, ...headers: string[]]

const { root, files } = makeServed(SIZES)
const serverOf = FileServer.shared(test, [...WAYS, 'streams', 'serve-static'], root)

/** Each file in each manner; those that are sent differently stand side by side. */
const requests = (query: string): Request[] =>
  Object.values(files).flatMap(({ url, bytes }) => [
    [url + query],
    [url + query, 'HEAD'],
    [url + query, 'GET', 'Range: bytes=0-'],
    [url + query, 'GET', 'Range: bytes=1-4000'],
    [url + query, 'GET', `Range: bytes=${bytes.length >> 1}-`],
    [url + query, 'GET', 'Range: bytes=-1'],
    [url + query, 'GET', 'If-None-Match: *'],
    [url + query, 'HEAD', 'If-None-Match: *', 'Range: bytes=0-0'],
  ])

/** One after the other, over one connection for as long as it lasts. */
async function inTurn(connect: () => Promise<HttpClient>, asked: readonly Request[]): Promise<object[]> {
  const answers: object[] = []
  let client = await connect()
  for (const request of asked) {
    if (client.socket.destroyed || client.socket.readableEnded) client = await connect()
    const answer = await client.get(...request)
    answers.push({ request, ...timeless(answer) })
    if (!answer.complete || answer.headers.connection === 'close') client.destroy()
  }
  client.destroy()
  return answers
}

/** All at once; those that are answered before the connection ends. */
async function pipelined(connect: () => Promise<HttpClient>, asked: readonly Request[]): Promise<object[]> {
  const answers: object[] = []
  const client = await connect()
  for (const request of asked) client.request(...request)
  for (const request of asked) {
    const answer = await client.answer(request[1])
    answers.push({ request, ...timeless(answer) })
    if (!answer.complete || answer.headers.connection === 'close') break
  }
  client.destroy()
  return answers
}

async function both<T>(way: Way, play: (server: FileServer) => Promise<T>): Promise<[T, T]> {
  return Promise.all([play(serverOf(way as never)), play(serverOf(counterpart(way) as never))])
}

const preparations = Object.keys(PREPARATIONS).filter((name) => name !== IDLING)

for (const way of WAYS) {
  for (const name of [undefined, ...preparations]) {
    const asked = requests(before(name))
    const where = name === undefined ? 'an untouched response' : `a response whose application has ${name}`

    test(`${where} gets by ${way} what it gets by Node, request by request`, async (t) => {
      const [ours, theirs] = await both(way, (server) => inTurn(() => server.connect(), asked))
      for (const [i, answer] of ours.entries()) t.deepEqual(answer, theirs[i])
    })

    test(`${where} gets by ${way} what it gets by Node, all requests at once`, async (t) => {
      const [ours, theirs] = await both(way, (server) => pipelined(() => server.connect(), asked))
      for (const [i, answer] of ours.entries()) t.deepEqual(answer, theirs[i])
      t.is(ours.length, theirs.length)
    })
  }

  for (const door of ['unix', 'tls'] as const) {
    test(`over ${door} ${way} answers as Node does`, async (t) => {
      for (const play of [inTurn, pipelined]) {
        const [ours, theirs] = await both(way, (server) => play(() => server.connect(door), requests('')))
        for (const [i, answer] of ours.entries()) t.deepEqual(answer, theirs[i])
        t.is(ours.length, requests('').length)
      }
    })
  }

  test(`over HTTP/2 ${way} answers as Node does`, async (t) => {
    const [ours, theirs] = await both(way, async (server) => {
      const { port } = server.address('http2') as { port: number }
      const session = connectHttp2(`http://127.0.0.1:${port}`)
      const answers = await Promise.all(requests('').map((request) => getByHttp2(session, request)))
      session.close()
      return answers
    })
    for (const [i, answer] of ours.entries()) t.deepEqual(answer, theirs[i])
  })

  test(`what ${way} sends is the file`, async (t) => {
    const client = await serverOf(way).connect()
    for (const { url, bytes } of Object.values(files)) {
      t.like(await client.get(url), { status: 200, complete: true, hash: sha256(bytes) })
      if (bytes.length === 0) continue
      const part = await client.get(url, 'GET', `Range: bytes=${bytes.length >> 1}-`)
      t.like(part, { status: 206, complete: true, hash: sha256(bytes.subarray(bytes.length >> 1)) })
    }
    client.destroy()
  })
}

async function getByHttp2(
  session: ClientHttp2Session,
  [path, method = 'GET', ...fields]: Request,
): Promise<object> {
  const pairs = fields.map((field) => field.split(': ', 2) as [string, string])
  const own = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]))
  const stream = session.request({ ...own, ':path': path, ':method': method })
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  return { path, method, fields, headers: { ...headers, date: '' }, hash: sha256(await buffer(stream)) }
}
