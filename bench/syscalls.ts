// Which system calls one request for a 64 KiB file costs, ours and Node's: the servers run under strace, and what
// they do between one request on a keep-alive connection and the next is counted.

import { readFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { has } from './helpers/children.js'
import { KiB, temporaryDirectory, writeRandomFile } from './helpers/files.js'
import { median, say, table, type Goal } from './helpers/report.js'
import { KINDS, startRival, type Kind } from './helpers/rivals.js'
import type { Options } from './options.js'

const FILE = '64KiB'
const REQUESTS = 60
/** The first ones load and compile what later ones use. */
const WARM_UP = 20
/** Long enough for everything that a request has started to be over before the next, in ms. */
const PAUSE = 20

/** What was called for one request, in order. */
type Calls = string[]

export async function syscalls({ directory }: Options): Promise<Goal[]> {
  console.log('\n## System calls of one request for a 64 KiB file\n')
  if (!has('strace')) {
    console.log('Not counted: strace is not installed.')
    return []
  }
  const folder = temporaryDirectory(directory)
  const root = temporaryDirectory(folder)
  writeRandomFile(join(root, FILE), 64 * KiB)
  const typical: Record<Kind, Calls> = { streams: [], zcio: [] }
  for (const kind of KINDS) typical[kind] = mostTypical(await trace(kind, root, join(folder, kind)))
  say('')
  console.log(`Keep-alive, ${REQUESTS - WARM_UP} requests; the most typical of each.\n`)
  console.log(callTable(typical))
  for (const kind of KINDS) console.log(`\n${kind}: ${inWords(typical[kind])}`)
  return []
}

async function trace(kind: Kind, root: string, output: string): Promise<Calls[]> {
  say(`syscalls: ${kind}`)
  const rival = await startRival(kind, 'server.ts', [root], ['strace', '-f', '-qq', '-s', '16', '-o', output])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    for (let i = 0; i < REQUESTS; i++) {
      await request(rival.port, agent)
      await sleep(PAUSE)
    }
  } finally {
    agent.destroy()
    await rival.stop()
  }
  return perRequest(readFileSync(output, 'utf8'))
}

function request(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = (res: IncomingMessage): void => {
      res.resume().on('end', resolve).on('error', reject)
    }
    get({ port, agent, host: '127.0.0.1', path: `/${FILE}` }, take).on('error', reject)
  })
}

/** Cuts a trace where a request is read. A call that waits while others are made stands where it began. */
function perRequest(output: string): Calls[] {
  const requests: Calls[] = []
  for (const line of output.split('\n')) {
    if (/^\d+ +(read|recvfrom|readv)\(\d+, .*"GET \//.test(line)) requests.push([])
    const [, name] = /^\d+ +(\w+)\(/.exec(line) ?? []
    if (name !== undefined) requests.at(-1)?.push(name)
  }
  return requests.slice(WARM_UP, -1)
}

/** The request whose counts are nearest to the medians: what the garbage collector or a timer does is not its own. */
function mostTypical(requests: readonly Calls[]): Calls {
  const names = [...new Set(requests.flat())]
  const middle = new Map(names.map((name) => [name, median(requests.map((calls) => count(calls, name)))]))
  const distance = (calls: Calls): number =>
    names.reduce((sum, name) => sum + Math.abs(count(calls, name) - (middle.get(name) ?? 0)), 0)
  return requests.toSorted((a, b) => distance(a) - distance(b))[0] ?? []
}

function count(calls: Calls, name: string): number {
  return calls.filter((call) => call === name).length
}

function callTable(typical: Record<Kind, Calls>): string {
  const names = [...new Set(KINDS.flatMap((kind) => typical[kind]))]
  const rows = names.map((name) => [name, ...KINDS.map((kind) => `${count(typical[kind], name) || '–'}`)])
  const sums = ['together', ...KINDS.map((kind) => `${typical[kind].length}`)]
  return table(['call', ...KINDS], [...rows, sums])
}

/** read, futex × 2, epoll_wait: in order, repeated ones together. */
function inWords(calls: Calls): string {
  const runs: { name: string; times: number }[] = []
  for (const name of calls) {
    const last = runs.at(-1)
    if (last?.name === name) last.times += 1
    else runs.push({ name, times: 1 })
  }
  return runs.map(({ name, times }) => (times > 1 ? `${name} × ${times}` : name)).join(', ')
}
