// The child's side of a rival: tells the port it listens on, and what came to pass between the beginning and the end
// of a run. What is done there is for the module that starts it.

import { readFileSync } from 'node:fs'
import type { AddressInfo, Server } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { serveParent } from './children.js'
import type { Cost } from './rivals.js'
import { startUsage } from './usage.js'

/** Who measures for a time hangs up in the midst of what is being sent when it is over. */
const HUNG_UP = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE']

interface Question {
  ask: string
  watchDelay?: boolean
}

const events: Record<string, number> = {}
const delays = monitorEventLoopDelay({ resolution: 1 })
let before = { usage: startUsage(), disk: 0 }

/** Listens, then answers; `more` are answers to questions of its own. */
export function serveMeasured(server: Server, more: Record<string, () => object> = {}): void {
  server.listen(0, '127.0.0.1', 1024, () => {
    serveParent(({ ask, watchDelay = false }: Question) => {
      if (ask === 'port') return Promise.resolve({ port: (server.address() as AddressInfo).port })
      if (ask === 'begin') return Promise.resolve(begin(watchDelay))
      if (ask === 'end') return Promise.resolve(end())
      return Promise.resolve(more[ask]?.() ?? { error: `nobody knows what '${ask}' asks for` })
    })
  })
}

/** Counts a mechanism, or an error, unless it is that the client has hung up. */
export function count(event: unknown): void {
  if (event instanceof Error && 'code' in event && HUNG_UP.includes(String(event.code))) return
  const name = event instanceof Error ? `error: ${event.message}` : String(event)
  events[name] = (events[name] ?? 0) + 1
}

function begin(watchDelay: boolean): object {
  before = { usage: startUsage(), disk: disk() }
  for (const name of Object.keys(events)) Reflect.deleteProperty(events, name)
  delays.reset()
  if (watchDelay) delays.enable()
  return {}
}

function end(): Cost {
  const delay = delays.percentile(99) / 1e6
  delays.disable()
  const { cpu, loop } = before.usage()
  return { cpu, loop, delay, disk: disk() - before.disk, events }
}

function disk(): number {
  const [, bytes = '0'] = /^read_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8')) ?? []
  return Number(bytes)
}
