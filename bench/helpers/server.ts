// A child that serves the files of one directory, by Node's streams or by zcio, and tells what that cost it.
//
// The streams are given every advantage: the lengths of the files are known beforehand, which saves them a stat for
// each request; zcio opens and asks anew each time.

import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { respondWithFile } from 'zcio/http'
import { serveParent } from './children.js'
import type { Cost } from './rivals.js'

/** Who measures for a time hangs up in the midst of a response when it is over. */
const HUNG_UP = ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE']

const [kind, root = '.'] = process.argv.slice(2)
const lengths = new Map(readdirSync(root).map((name) => [name, statSync(join(root, name)).size]))
const events: Record<string, number> = {}
const delays = monitorEventLoopDelay({ resolution: 1 })
let before = { cpu: 0, loop: performance.eventLoopUtilization(), disk: 0 }

const respond = kind === 'zcio' ? respondByZcio : respondByStreams
const server = createServer((req, res) => {
  const name = req.url?.slice(1) ?? ''
  const length = lengths.get(name)
  if (length === undefined) res.writeHead(404).end()
  else respond(res, join(root, name), length)
})

function respondByStreams(res: ServerResponse, path: string, length: number): void {
  res.setHeader('Content-Length', length)
  createReadStream(path)
    .on('error', (error) => {
      count(error)
      res.destroy()
    })
    .pipe(res)
}

function respondByZcio(res: ServerResponse, path: string): void {
  respondWithFile(res, path).then(({ mechanism, fallbacks }) => {
    count(mechanism)
    for (const fallback of fallbacks) count(`not ${fallback.mechanism}: ${fallback.code}`)
  }, count)
}

function count(event: unknown): void {
  if (event instanceof Error && 'code' in event && HUNG_UP.includes(String(event.code))) return
  const name = event instanceof Error ? `error: ${event.message}` : String(event)
  events[name] = (events[name] ?? 0) + 1
}

function begin(watchDelay: boolean): object {
  before = { cpu: cpu(), loop: performance.eventLoopUtilization(), disk: disk() }
  for (const name of Object.keys(events)) Reflect.deleteProperty(events, name)
  delays.reset()
  if (watchDelay) delays.enable()
  return {}
}

function end(): Cost {
  const delay = delays.percentile(99) / 1e6
  delays.disable()
  const loop = performance.eventLoopUtilization(before.loop).utilization
  return { cpu: cpu() - before.cpu, loop, delay, disk: disk() - before.disk, events }
}

function cpu(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

function disk(): number {
  const [, bytes = '0'] = /^read_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8')) ?? []
  return Number(bytes)
}

server.listen(0, '127.0.0.1', () => {
  serveParent((message: { ask: 'port' | 'begin' | 'end'; watchDelay?: boolean }) => {
    if (message.ask === 'begin') return Promise.resolve(begin(message.watchDelay ?? false))
    if (message.ask === 'end') return Promise.resolve(end())
    return Promise.resolve({ port: (server.address() as AddressInfo).port })
  })
})
