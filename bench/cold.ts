// Files that are not in memory: what waiting for the disk does to the event loop, and to those who wait.
//
// Each file is evicted before a run and fetched once in it, so that nothing is warm that was cold a moment ago.

import { join } from 'node:path'
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks'
import { pins, startChild, type Child } from './helpers/children.js'
import type { Fetched } from './helpers/client.js'
import { evict, MiB, temporaryDirectory, writeRandomFile } from './helpers/files.js'
import { figure, median, medianRatio, percentile, say, table, times, type Goal } from './helpers/report.js'
import { KINDS, mechanismOf, turns, withRivals, type Cost, type Kind, type Rivals } from './helpers/rivals.js'
import type { Options } from './options.js'

const FILES = 512
const CLIENTS = 64
const NAMES = Array.from({ length: FILES }, (_, i) => `cold-${i}`)

type Run = Fetched & { cost: Cost }
type Runs = Record<Kind, Run[]>

export async function cold(options: Options): Promise<Goal[]> {
  const directory = temporaryDirectory(options.directory)
  for (const name of NAMES) writeRandomFile(join(directory, name), MiB, true)
  console.log(`\n## Cold files over HTTP\n`)
  console.log(`${FILES} files of 1 MiB, each evicted and fetched once a run, ${CLIENTS} clients; medians.\n`)
  const client = await startChild('client.ts', [], pins().client)
  try {
    await client.ask({ learn: NAMES, root: directory }, 120)
    const idle = monitorEventLoopDelay({ resolution: 1 })
    const runs = await withRivals('server.ts', [directory], (rivals) =>
      compare(rivals, client, directory, options.runs, idle),
    )
    console.log(coldTable(runs))
    console.log(
      `\nIn a process that only waited for them the delay was ${figure(idle.percentile(99) / 1e6)} ms.`,
    )
    return goals(runs)
  } catch (error) {
    if (!(error instanceof NotCold)) throw error
    console.log(`Not measured: ${error.message}`)
    return []
  } finally {
    await client.stop()
  }
}

/** Files that cannot be evicted, as on tmpfs, tell nothing. */
class NotCold extends Error {}

/** `idle` watches this process meanwhile: what it sees is the machine's doing, not the servers'. */
async function compare(
  rivals: Rivals,
  client: Child,
  directory: string,
  runs: number,
  idle: IntervalHistogram,
): Promise<Runs> {
  const result: Runs = { streams: [], zcio: [] }
  // The first run of each warms the servers up, not the files.
  for (let run = -1; run < runs; run++) {
    for (const kind of turns(run + 1)) {
      say(`cold files: run ${run + 1} of ${runs}, ${kind}`)
      evictAll(directory)
      idle.enable()
      const measured = await once(rivals, kind, client)
      idle.disable()
      if (run >= 0) result[kind].push(measured)
    }
  }
  say('')
  return result
}

function evictAll(directory: string): void {
  if (!evict(NAMES.map((name) => join(directory, name)))) throw new NotCold('this needs GNU dd')
}

async function once(rivals: Rivals, kind: Kind, client: Child): Promise<Run> {
  const { port } = rivals[kind]
  const ask = { port, names: NAMES, connections: CLIENTS, requests: FILES }
  const run = await rivals[kind].measure(() => client.ask<Fetched>(ask, 120), true)
  const [wrong] = run.wrong
  if (wrong !== undefined) throw new Error(`${kind}: ${wrong}`)
  if (run.cost.disk < run.bytes / 2)
    throw new NotCold('the files stayed in memory; give a --directory on a disk')
  return run
}

function coldTable(runs: Runs): string {
  const rows = KINDS.map((kind) => {
    const of = (what: (run: Run) => number): string => figure(median(runs[kind].map(what)))
    const [first] = runs[kind]
    return [
      kind,
      of(({ cost }) => cost.delay),
      of(({ latencies }) => percentile(latencies, 50)),
      of(requestP99),
      of(({ requests, seconds }) => requests / seconds),
      of(({ cost, requests }) => cost.cpu / requests),
      first ? mechanismOf(first.cost) : '',
    ]
  })
  return table(
    [
      'server',
      'loop delay p99, ms',
      'request p50, ms',
      'request p99, ms',
      'requests/s',
      'CPU µs/request',
      'moved by',
    ],
    rows,
  )
}

function goals({ streams, zcio }: Runs): Goal[] {
  const delay = median(zcio.map(({ cost }) => cost.delay))
  const ratio = medianRatio(zcio.map(requestP99), streams.map(requestP99))
  return [
    {
      figure: `event-loop delay p99, cold files, ${CLIENTS} clients`,
      goal: '≤ 5 ms',
      measured: `${figure(delay)} ms`,
      isMet: delay <= 5,
    },
    {
      figure: 'request p99, cold files, against streams',
      goal: '≤ 1 ×',
      measured: times(ratio),
      isMet: ratio <= 1,
    },
  ]
}

function requestP99({ latencies }: Run): number {
  return percentile(latencies, 99)
}
