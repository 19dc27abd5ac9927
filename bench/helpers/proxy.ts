// A child that joins every connection with one to a target: by pipes in both directions, by zcio, or not at all, which
// is what two sockets cost by themselves.

import { connect, createServer, type Socket } from 'node:net'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { bridge, stats } from 'zcio'
import { count, serveMeasured } from './measured.js'

/** What a proxy holds at a moment. */
export interface Held {
  /** Connections that are joined, or would be. */
  pairs: number
  /** Resident memory, in bytes, and how much of it is V8's heap. */
  rss: number
  heap: number
  /** Pipes of the engine. */
  pipes: number
}

const [kind, targetPort] = process.argv.slice(2)
const join = { streams: joinByPipes, zcio: joinByBridge, bare: ignore }[kind ?? ''] ?? ignore
let pairs = 0

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const options = { port: Number(targetPort), host: '127.0.0.1', allowHalfOpen: true, noDelay: true }
  const far = connect(options, () => {
    pairs += 1
  })
  join(near, far)
  for (const socket of [near, far]) socket.on('error', count)
  near.on('close', () => {
    pairs -= 1
    far.destroy()
  })
})

function joinByPipes(near: Socket, far: Socket): void {
  near.pipe(far)
  far.pipe(near)
  count('stream')
}

function joinByBridge(near: Socket, far: Socket): void {
  bridge(near, far).then(({ aToB }) => {
    count(aToB.mechanism)
  }, count)
}

/** Only who reads sees that a client hangs up. */
function ignore(near: Socket): void {
  near.resume().on('end', () => near.destroy())
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function held(): Held {
  collect()
  return {
    pairs,
    rss: process.memoryUsage.rss(),
    heap: getHeapStatistics().used_heap_size,
    pipes: stats().pipes,
  }
}

serveMeasured(server, { held })
