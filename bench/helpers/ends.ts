// A child at the far ends of a fan-out: it feeds a file to whoever connects or opens a FIFO, and takes what comes over
// connections and FIFOs, counted and, where asked, hashed.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { constants, openSync, readFileSync } from 'node:fs'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { serveParent } from './children.js'

/** What is fed next, also into this FIFO, and which FIFOs are read. */
export interface Prepare {
  feed: string
  fifo: string | undefined
  drains: string[]
  /** How many connections and FIFOs bring something. */
  expected: number
  hash: boolean
}

/** What one of them has brought: bytes, and their SHA-256, or '' where it was not asked for. */
export interface Drained {
  bytes: number
  sha256: string
}

const { O_RDONLY, O_RDWR, O_NONBLOCK } = constants
let fed = Buffer.alloc(0)
let isHashed = false
let expected = 0
let drained: Drained[] = []
let whole = awaited()

const feeder = createServer((socket) => socket.end(fed))
const drain = createServer(take)

for (const server of [feeder, drain]) await once(server.listen(0, '127.0.0.1', 1024), 'listening')

serveParent((message: Prepare | { ask: 'ports' | 'drained' }) => {
  if ('feed' in message) return Promise.resolve(prepare(message))
  if (message.ask === 'drained') return whole.promise
  const [source, sink] = [feeder, drain].map((server) => (server.address() as AddressInfo).port)
  return Promise.resolve({ source, sink })
})

function prepare({ feed, fifo, drains, hash, ...what }: Prepare): object {
  fed = readFileSync(feed)
  isHashed = hash
  expected = what.expected
  drained = []
  whole = awaited()
  if (expected === 0) whole.resolve({ drained })
  for (const path of drains) take(new Socket({ fd: openSync(path, O_RDONLY | O_NONBLOCK), writable: false }))
  // Opened for both, it needs no reader yet; who opens it for reading does not find it at its end.
  if (fifo !== undefined) new Socket({ fd: openSync(fifo, O_RDWR | O_NONBLOCK), readable: false }).end(fed)
  return {}
}

function take(socket: Socket): void {
  const hash = isHashed ? createHash('sha256') : undefined
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    hash?.update(chunk)
  })
  socket.on('error', (error) => {
    whole.resolve({ error: error.message })
  })
  socket.on('end', () => {
    drained.push({ bytes, sha256: hash?.digest('hex') ?? '' })
    if (drained.length === expected) whole.resolve({ drained })
  })
}

/** What is answered when all is there, or something went wrong. */
function awaited(): { promise: Promise<object>; resolve: (answer: object) => void } {
  let resolve: (answer: object) => void = () => undefined
  const promise = new Promise<object>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
