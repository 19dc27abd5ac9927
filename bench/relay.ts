// A TCP proxy: `a.pipe(b); b.pipe(a)` against `bridge(a, b)`, and against Go's io.Copy where there is Go, on one core,
// with both ends of the relay on the other.
// What idle connections cost is in idle.ts.

import { startChild, pins, type Child } from './helpers/children.js'
import { KiB, MiB } from './helpers/files.js'
import { startGo } from './helpers/go.js'
import type { Hold, Send, Sent } from './helpers/peers.js'
import { figure, fraction, median, say, table, times, type Goal } from './helpers/report.js'
import {
  errorsOf,
  KINDS,
  mechanismOf,
  ratios,
  withRivals,
  type Kind,
  type Measured,
} from './helpers/rivals.js'
import { idle } from './idle.js'
import type { Options } from './options.js'

/** Connections at a time, and the bytes of each; as many as there is time for where it says none. */
const CROWDS: Crowd[] = [
  { connections: 1 },
  { connections: 16 },
  { connections: 512 },
  { connections: 512, bytes: 256 * KiB },
]

type Crowd = Pick<Send, 'connections' | 'bytes'>

const KINDS_AND_GO = [...KINDS, 'go'] as const

/** One run of one proxy. */
interface Run {
  /** Bytes in a second. */
  rate: number
  /** Seconds of the proxy's CPU for one GB. */
  cpu: number
  loop: number
  mechanism: string
}

type Proxy = Kind | 'go'
type Runs = Record<Proxy, Run[]>
type Results = ReadonlyMap<Crowd, Runs>

export async function relay(options: Options): Promise<Goal[]> {
  const peers = await startChild('peers.ts', [], pins().client)
  const { port } = await peers.ask<{ port: number }>({ ask: 'port' })
  const go = await startGo(port)
  const results = new Map<Crowd, Runs>()
  for (const crowd of CROWDS) {
    const runs = await withRivals('proxy.ts', [`${port}`], (rivals) => {
      const proxies = [rivals.streams, rivals.zcio, ...(go ? [go] : [])]
      return compare(proxies, peers, crowd, options)
    })
    results.set(crowd, runs)
  }
  await go?.stop()
  const { runs, seconds } = options
  console.log(`\n## A TCP proxy\n\n${runs} runs of ${seconds} s each, in turns; medians.\n`)
  console.log(relayTable(results))
  const goals = [...relayGoals(results), ...(await idle(peers, port, options))]
  await peers.stop()
  return goals
}

async function compare(
  proxies: readonly Measured<Proxy>[],
  peers: Child,
  crowd: Crowd,
  { runs, seconds }: Options,
): Promise<Runs> {
  const result: Runs = { streams: [], zcio: [], go: [] }
  // The first round warms up, and has all bytes hashed.
  for (const proxy of proxies) {
    const connections = Math.min(16, crowd.connections)
    await press(proxy, peers, { connections, bytes: 4 * MiB + 1, hash: true })
  }
  for (let run = 0; run < runs; run++) {
    for (const proxy of run % 2 === 0 ? proxies : proxies.toReversed()) {
      say(`relay ${nameOf(crowd)}: run ${run + 1} of ${runs}, ${proxy.kind}`)
      result[proxy.kind].push(await press(proxy, peers, { ...crowd, seconds }))
    }
  }
  say('')
  return result
}

async function press(proxy: Measured<Proxy>, peers: Child, what: Omit<Send, 'send'>): Promise<Run> {
  const { port, kind } = proxy
  const patience = (what.seconds ?? 0) + 60
  // Connecting is not measured of those that last.
  if (what.bytes === undefined)
    await peers.ask({ hold: port, connections: what.connections } satisfies Hold, patience)
  const { bytes, seconds, cost } = await proxy.measure(() =>
    peers.ask<Sent>({ send: port, ...what } satisfies Send, patience),
  )
  const [error] = errorsOf(cost)
  if (error !== undefined) throw new Error(`${kind}: ${error}`)
  return {
    rate: bytes / seconds,
    cpu: cost.cpu / 1e6 / (bytes / 1e9),
    loop: cost.loop,
    mechanism: mechanismOf(cost),
  }
}

function nameOf({ connections, bytes }: Crowd): string {
  return bytes === undefined ? `${connections}` : `${connections}, of ${bytes / KiB} KiB each`
}

function relayTable(results: Results): string {
  const rows = [...results].flatMap(([crowd, runs]) =>
    KINDS_AND_GO.filter((kind) => runs[kind].length > 0).map((kind) => {
      const { rate, cpu } = ratios(runs[kind], runs.streams)
      return [nameOf(crowd), kind, ...cells(runs[kind]), times(rate), fraction(cpu)]
    }),
  )
  const measured = ['MB/s', 'CPU s/GB', 'least–most', 'loop busy', 'moved by']
  return table(['connections', 'proxy', ...measured, 'MB/s ratio', 'CPU ratio'], rows)
}

function cells(runs: readonly Run[]): string[] {
  const cpu = runs.map((run) => run.cpu)
  return [
    figure(median(runs.map((run) => run.rate)) / 1e6),
    figure(median(cpu)),
    `${figure(Math.min(...cpu))}–${figure(Math.max(...cpu))}`,
    median(runs.map((run) => run.loop)).toFixed(2),
    runs.at(-1)?.mechanism ?? '',
  ]
}

/** Of connections that last: of short ones, most of the cost is Node's for accepting and connecting. */
function relayGoals(results: Results): Goal[] {
  return [...results].flatMap(([{ connections, bytes }, runs]) =>
    bytes === undefined ? crowdGoals(connections, runs) : [],
  )
}

function crowdGoals(connections: number, { streams, zcio, go }: Runs): Goal[] {
  const { rate, cpu } = ratios(zcio, streams)
  const proxy = connections === 1 ? 'proxy, 1 connection' : `proxy, ${connections} connections`
  const share = {
    figure: `${proxy}: CPU per GB, against pipes`,
    goal: '≤ 1/3.5',
    measured: fraction(cpu),
    isMet: cpu <= 1 / 3.5,
  }
  const loop = median(zcio.map((run) => run.loop))
  const busy = {
    figure: `${proxy}: event loop busy`,
    goal: '≤ 0.10',
    measured: loop.toFixed(2),
    isMet: loop <= 0.1,
  }
  if (connections !== 16) return [share, busy]
  return [
    share,
    busy,
    {
      figure: `${proxy}: MB/s, against pipes`,
      goal: '≥ 2.5 ×',
      measured: times(rate),
      isMet: rate >= 2.5,
    },
    ...(go.length > 0 ? goGoals(proxy, ratios(zcio, go)) : []),
  ]
}

function goGoals(proxy: string, { rate, cpu }: { rate: number; cpu: number }): Goal[] {
  return [
    {
      figure: `${proxy}: MB/s, against Go's io.Copy`,
      goal: '≥ 0.9 ×',
      measured: times(rate),
      isMet: rate >= 0.9,
    },
    {
      figure: `${proxy}: CPU per GB, against Go's io.Copy`,
      goal: '≤ 1.1 ×',
      measured: times(cpu),
      isMet: cpu <= 1.1,
    },
  ]
}
