// A child that fetches files over keep-alive connections, as leanly as Node can, and checks every body: all of it by
// SHA-256, or, where time is measured, its length and one byte of every KiB.

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { serveParent } from './children.js'

/** What the client is asked to know: how the files look. */
export interface Learn {
  learn: string[]
  root: string
}

/** What it is asked to fetch: these files in turn, for so many requests or seconds. */
export interface Fetch {
  port: number
  names: string[]
  connections: number
  requests?: number
  seconds?: number
  /** Hash every body. */
  hash?: boolean
}

/** What came of it. */
export interface Fetched {
  requests: number
  bytes: number
  seconds: number
  /** Of each request, in ms. */
  latencies: number[]
  /** What was wrong. */
  wrong: string[]
}

interface Expected {
  size: number
  sha256: string
  samples: Buffer
}

/** One byte in so many is compared where bodies are not hashed. */
const STRIDE = 1024

/** A connection on which nothing comes for so long has failed, in ms. */
const STALLED = 20_000

const known = new Map<string, Expected>()

serveParent((message: Learn | Fetch) => {
  if (!('learn' in message)) return fetchAll(message)
  for (const name of message.learn) known.set(name, look(join(message.root, name)))
  return Promise.resolve({})
})

function look(path: string): Expected {
  const { size } = statSync(path)
  const samples = Buffer.alloc(Math.ceil(size / STRIDE))
  const [block, hash, fd] = [Buffer.alloc(256 * STRIDE), createHash('sha256'), openSync(path, 'r')]
  for (let at = 0, n; (n = readSync(fd, block, 0, block.length, at)) > 0; at += n) {
    hash.update(block.subarray(0, n))
    for (let i = 0; i < n; i += STRIDE) samples[(at + i) / STRIDE] = block[i] ?? 0
  }
  closeSync(fd)
  return { size, sha256: hash.digest('hex'), samples }
}

async function fetchAll({ port, names, connections, ...how }: Fetch): Promise<Fetched> {
  const { requests = Infinity, seconds = Infinity, hash = false } = how
  const fetched: Fetched = { requests: 0, bytes: 0, seconds: 0, latencies: [], wrong: [] }
  const started = performance.now()
  let asked = 0
  const next = (): string | undefined => {
    const over = asked >= requests || performance.now() - started > seconds * 1000 || fetched.wrong.length > 0
    return over ? undefined : names[asked++ % names.length]
  }
  await Promise.all(Array.from({ length: connections }, () => converse(port, next, hash, fetched)))
  fetched.seconds = (performance.now() - started) / 1000
  return fetched
}

/** One connection: asks for the next file when the last one has come, until there is no next. */
function converse(
  port: number,
  next: () => string | undefined,
  hash: boolean,
  fetched: Fetched,
): Promise<void> {
  return new Promise((resolve) => {
    let reply: Reply | undefined
    const onread = { buffer: Buffer.allocUnsafeSlow(512 * 1024), callback: receive }
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    socket.setTimeout(STALLED, () => socket.destroy(new Error('nothing came any more')))
    socket.on('connect', ask).on('close', resolve)
    socket.on('error', (error) => fetched.wrong.push(error.message))
    socket.on('close', () => {
      if (reply) fetched.wrong.push(`${reply.name}: closed after ${reply.at} bytes`)
    })

    function ask(): void {
      const name = next()
      reply = name === undefined ? undefined : new Reply(name, hash)
      if (name === undefined) socket.end()
      else socket.write(`GET /${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    }

    function receive(length: number, buffer: Uint8Array): boolean {
      const wrong = reply ? reply.take(buffer as Buffer, length) : 'bytes that nobody asked for'
      if (wrong !== undefined) {
        fetched.wrong.push(wrong)
        reply = undefined
        socket.destroy()
      } else if (reply?.isWhole) {
        fetched.requests += 1
        fetched.bytes += reply.at
        fetched.latencies.push(reply.age)
        ask()
      }
      return true
    }
  })
}

/** One response, as it comes. */
class Reply {
  /** Bytes of the body so far. */
  at = 0
  readonly name: string
  readonly #expected: Expected
  readonly #hash
  readonly #asked = performance.now()
  #head: string | undefined = ''

  constructor(name: string, hash: boolean) {
    const expected = known.get(name)
    if (!expected) throw new Error(`${name}: nobody said how it looks`)
    this.name = name
    this.#expected = expected
    this.#hash = hash ? createHash('sha256') : undefined
  }

  get isWhole(): boolean {
    return this.#head === undefined && this.at === this.#expected.size
  }

  get age(): number {
    return performance.now() - this.#asked
  }

  /** Takes what was received; returns what is wrong with it. */
  take(buffer: Buffer, length: number): string | undefined {
    const body = this.#head === undefined ? 0 : this.#takeHead(buffer, length)
    if (typeof body === 'string') return `${this.name}: ${body}`
    if (this.at + length - body > this.#expected.size) return `${this.name}: more bytes than declared`
    if (this.#hash) this.#hash.update(buffer.subarray(body, length))
    else if (!this.#isAsSampled(buffer, body, length)) return `${this.name}: wrong bytes`
    this.at += length - body
    const isWrong = this.#hash && this.isWhole && this.#hash.digest('hex') !== this.#expected.sha256
    return isWrong ? `${this.name}: wrong SHA-256` : undefined
  }

  /** Where the body begins in the buffer, or what is wrong with the head. */
  #takeHead(buffer: Buffer, length: number): number | string {
    const before = this.#head?.length ?? 0
    const head = (this.#head ?? '') + buffer.toString('latin1', 0, Math.min(length, 4096))
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) {
      this.#head = head
      return head.length > 4096 ? 'no end of the head' : length
    }
    this.#head = undefined
    if (!head.startsWith('HTTP/1.1 200 ')) return head.slice(0, head.indexOf('\r\n'))
    const [, declared] = /^content-length: (\d+)$/im.exec(head.slice(0, end).replaceAll('\r', '')) ?? []
    return Number(declared) === this.#expected.size
      ? end + 4 - before
      : `Content-Length: ${declared ?? 'none'}`
  }

  #isAsSampled(buffer: Buffer, from: number, to: number): boolean {
    const { samples } = this.#expected
    const shift = this.at - from
    for (let i = Math.ceil(this.at / STRIDE); i * STRIDE - shift < to; i++) {
      if (buffer[i * STRIDE - shift] !== samples[i]) return false
    }
    return true
  }
}
