// A child that is both ends of a relay: it sends through a proxy, and receives what comes out of it. All that is sent
// has to arrive: its length is compared, and in a check its SHA-256.
//
// Both ends move bytes by zcio, whichever proxy is between them: by Node's streams, two ends on one core would be
// slower than the proxy, and measure themselves.

import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { constants, openSync, readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { transfer } from 'zcio'
import { serveParent } from './children.js'
import { MiB, temporaryDirectory, writeRandomFile } from './files.js'

/** What is to be sent through the proxy at this port, over so many connections at a time. */
export interface Send {
  send: number
  connections: number
  /** Bytes of one connection, after which comes another one. Default: as many as there is time for. */
  bytes?: number
  /** Default: one connection each, and it is over. */
  seconds?: number
  /** Hash all that is sent and received. */
  hash?: boolean
}

export interface Sent {
  bytes: number
  seconds: number
}

/** Connections to open, send a byte on, and leave open until they are sent on or let go. */
export interface Hold {
  hold: number
  connections: number
}

/** A connection on which nothing moves for so long has failed, in ms. */
const STALLED = 20_000

const path = join(temporaryDirectory(), 'block')
writeRandomFile(path, MiB)
const block = readFileSync(path)
const source = openSync(path, 'r')
// Nonblocking, or the engine would leave it to Node's streams.
const nowhere = openSync('/dev/null', constants.O_WRONLY | constants.O_NONBLOCK)
const received = { bytes: 0, digests: [] as string[], isHashed: false }
/** What is being received: a sender may see the end of its connection before its receiver has counted. */
const receiving = new Set<Promise<void>>()
const held: Socket[] = []

const target = createServer((socket) => {
  socket.on('error', () => socket.destroy())
  if (received.isHashed) hashAll(socket)
  else {
    const taking = takeAll(socket).finally(() => receiving.delete(taking))
    receiving.add(taking)
  }
})

function hashAll(socket: Socket): void {
  const hash = createHash('sha256')
  socket.on('end', () => received.digests.push(hash.digest('hex')))
  socket.on('data', (chunk: Buffer) => {
    received.bytes += chunk.length
    hash.update(chunk)
  })
}

async function takeAll(socket: Socket): Promise<void> {
  const { bytes } = await transfer(socket, nowhere).catch((error: unknown) => error as { bytes: number })
  received.bytes += bytes
}

target.listen(0, '127.0.0.1', 1024, () => {
  serveParent((message: Send | Hold | { ask: 'port' | 'release' }) => {
    if ('send' in message) return sendAll(message)
    if ('hold' in message) return hold(message)
    if (message.ask === 'release') return release()
    return Promise.resolve({ port: (target.address() as AddressInfo).port })
  })
})

async function sendAll({ send, connections, bytes = Infinity, ...how }: Send): Promise<Sent> {
  const { seconds = 0, hash: isHashed = false } = how
  Object.assign(received, { bytes: 0, digests: [], isHashed })
  const started = performance.now()
  const isOver = (): boolean => performance.now() - started > seconds * 1000
  const digests: string[] = []
  const sendOnAndOn = async (): Promise<number> => {
    let sum = 0
    do {
      const hash = isHashed ? createHash('sha256') : undefined
      sum += await sendOnce(send, bytes, Number.isFinite(bytes) ? () => false : isOver, hash)
      if (hash) digests.push(hash.digest('hex'))
    } while (!isOver())
    return sum
  }
  const sums = await Promise.all(Array.from({ length: connections }, sendOnAndOn))
  await Promise.all(receiving)
  const sent = sums.reduce((total, sum) => total + sum, 0)
  check(sent, digests)
  return { bytes: sent, seconds: (performance.now() - started) / 1000 }
}

/** One connection, to its end on both sides. */
async function sendOnce(
  port: number,
  bytes: number,
  isOver: () => boolean,
  hash: Hash | undefined,
): Promise<number> {
  const opened = held.pop()
  const socket = opened ?? connect({ port, host: '127.0.0.1', noDelay: true })
  socket.setTimeout(STALLED, () => socket.destroy(new Error('nothing moved any more')))
  const closed = once(socket, 'close')
  if (opened === undefined) await Promise.race([once(socket, 'connect'), closed])
  let sent = opened === undefined ? 0 : 1
  while (sent < bytes && !isOver()) {
    const length = Math.min(bytes - sent, block.length)
    await transfer(source, socket, { start: 0, length, end: false })
    hash?.update(block.subarray(0, length))
    sent += length
  }
  socket.resume().end()
  await closed
  return sent
}

function check(sent: number, digests: string[]): void {
  if (received.bytes !== sent) throw new Error(`${sent} bytes were sent, and ${received.bytes} received`)
  if (digests.toSorted().join() !== received.digests.toSorted().join()) throw new Error('other bytes arrived')
}

async function hold({ hold: port, connections }: Hold): Promise<object> {
  received.isHashed = false
  const opening = Array.from({ length: connections }, async () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    held.push(socket)
    await once(socket, 'connect')
    socket.write('.')
  })
  await Promise.all(opening)
  return {}
}

async function release(): Promise<object> {
  const closing = held.splice(0).map((socket) => once(socket.resume().end(), 'close'))
  await Promise.all(closing)
  return {}
}
