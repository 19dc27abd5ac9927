// Servers of files side by side: zcio's, Node's streams and what is built on them, and other people's servers. Each has
// one core, its client the other; all take turns. Which they are is in helpers/contestants.ts, what had to be reached
// is the table of goals below.

import { join } from 'node:path'
import { NAMES, startAll, type Name, type Running } from './helpers/contestants.js'
import { KiB, MiB, sizeName, temporaryDirectory } from './helpers/files.js'
import type { Loader } from './helpers/load.js'
import { probe } from './helpers/probe.js'
import { cpuOf } from './helpers/programs.js'
import { figure, fraction, median, medianRatio, say, table, times, type Goal } from './helpers/report.js'
import { measuredBy, namesOf, SIZES, type Size } from './helpers/sizes.js'
import type { Options } from './options.js'

/** One run of one server. */
interface Run {
  /** Requests in a second. */
  rate: number
  /** µs of the server's CPU for one request. */
  cpu: number
  /** ms. */
  p99: number
}

type Measure = keyof Run
type Runs = Map<Name, Run[]>

/** By the size of the file. */
type Results = ReadonlyMap<number, Runs>

/** What zcio had to reach: in this measure, against whom, at these sizes how many times as much. */
interface Aim {
  who: Name
  measure: Measure
  against: Name
  at: Record<number, number>
}

/** Against Bun and Go a tenth is within what two runs of one server differ by. */
const NO_LESS = { [4 * KiB]: 0.9, [64 * KiB]: 0.9, [MiB]: 0.9, [16 * MiB]: 0.9 }
const NO_MORE = { [4 * KiB]: 1, [64 * KiB]: 1, [MiB]: 1, [16 * MiB]: 1 }

const AIMS: Aim[] = [
  { who: 'serveStatic', measure: 'rate', against: 'Bun', at: NO_LESS },
  { who: 'serveStatic', measure: 'rate', against: 'Go', at: NO_LESS },
  {
    who: 'serveStatic',
    measure: 'rate',
    against: 'nginx',
    at: { [4 * KiB]: 0.45, [64 * KiB]: 0.8, [MiB]: 0.95, [16 * MiB]: 0.95 },
  },
  { who: 'serveStatic', measure: 'rate', against: 'streams', at: { [4 * KiB]: 2.5, [64 * KiB]: 3.5 } },
  { who: 'serveStatic', measure: 'cpu', against: 'streams', at: { [MiB]: 1 / 4 } },
  { who: 'serveStatic', measure: 'p99', against: 'streams', at: NO_MORE },
  { who: 'express + register', measure: 'rate', against: 'express', at: { [4 * KiB]: 1, [MiB]: 4 } },
]

const IN_WORDS: Record<Measure, string> = { rate: 'requests/s', cpu: 'CPU per request', p99: 'p99' }

/** Compares them on the files of a directory. */
export async function peers(directory: string, loader: Loader, options: Options): Promise<Goal[]> {
  console.log(`\n## Servers of files\n`)
  const running = await startAll(directory, temporaryDirectory(options.directory))
  const results = new Map<number, Runs>()
  try {
    for (const size of SIZES) {
      results.set(size.bytes, await compare(running, loader, directory, size, options))
    }
  } finally {
    await Promise.all([...running.values()].map(({ stop }) => stop()))
  }
  console.log(`\n${measuredBy(options)}; medians.\n`)
  console.log(resultTable(results))
  return goals(results)
}

async function compare(
  running: ReadonlyMap<Name, Running>,
  loader: Loader,
  directory: string,
  { bytes, connections }: Size,
  options: Options,
): Promise<Runs> {
  const { runs, seconds } = options
  const names = namesOf(bytes, options)
  const result: Runs = new Map()
  const press = async ({ port, pid }: Running, whole: number, length: number): Promise<Run> => {
    const before = cpuOf(pid)
    const load = await loader.press(port, names, connections, length)
    // A request that the end of the run has cut cost something, too.
    const done = Math.max(load.requests, load.bytes / whole)
    return { rate: load.requests / load.seconds, cpu: (cpuOf(pid) - before) / done, p99: load.p99 }
  }
  const wholes = new Map<Name, number>()
  for (const [who, server] of running) {
    wholes.set(who, await probe(who, server.port, join(directory, names[0]), names[0]))
    await press(server, bytes, 1)
    result.set(who, [])
  }
  for (let run = 0; run < runs; run++) {
    const order = run % 2 === 0 ? [...running] : [...running].toReversed()
    for (const [who, server] of order) {
      say(`peers ${sizeName(bytes)}: run ${run + 1} of ${runs}, ${who}`)
      result.get(who)?.push(await press(server, wholes.get(who) ?? bytes, seconds))
    }
  }
  say('')
  return result
}

function resultTable(results: Results): string {
  const rows = [...results].flatMap(([bytes, runs]) =>
    NAMES.filter((who) => runs.has(who)).map((who) => {
      const middle = (measure: Measure): number => median(runs.get(who)?.map((run) => run[measure]) ?? [])
      const ratio = who === 'streams' ? '' : times(ratioOf(runs, who, 'rate', 'streams') ?? NaN)
      return [
        sizeName(bytes),
        who,
        figure(middle('rate')),
        ratio,
        figure(middle('cpu')),
        figure(middle('p99')),
      ]
    }),
  )
  return table(['file', 'server', 'requests/s', 'against streams', 'CPU µs/request', 'p99, ms'], rows)
}

/** What cannot be compared here is no goal. */
function goals(results: Results): Goal[] {
  return AIMS.flatMap(({ who, measure, against, at }) =>
    Object.entries(at).flatMap(([bytes, bound]) => {
      const ratio = ratioOf(results.get(Number(bytes)), who, measure, against)
      if (ratio === undefined) return []
      const inWords = (value: number): string => (measure === 'cpu' ? fraction(value) : times(value))
      return {
        figure: `${who}, ${IN_WORDS[measure]} at ${sizeName(Number(bytes))}, against ${against}`,
        goal: `${measure === 'rate' ? '≥' : '≤'} ${inWords(bound)}`,
        measured: inWords(ratio),
        isMet: measure === 'rate' ? ratio >= bound : ratio <= bound,
      }
    }),
  )
}

function ratioOf(runs: Runs | undefined, who: Name, measure: Measure, against: Name): number | undefined {
  const [ours, theirs] = [who, against].map((name) => runs?.get(name)?.map((run) => run[measure]))
  return ours === undefined || theirs === undefined ? undefined : medianRatio(ours, theirs)
}
