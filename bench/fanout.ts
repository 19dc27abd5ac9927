// One source to 1, 4, 16 and 64 sinks: Node's `source.pipe(sink)` for each, which waits for the slowest, against
// `fanOut(source, sinks)`. Both in children on one core, with the other ends on another.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pins, startChild, type Child } from './helpers/children.js'
import type { Drained, Prepare } from './helpers/ends.js'
import type { Fan, Fanned, Place } from './helpers/fan.js'
import { KiB, MiB, sizeName, temporaryDirectory, writeRandomFile } from './helpers/files.js'
import { figure, median, medianRatio, say, table, times, type Goal } from './helpers/report.js'
import { turns, type Kind } from './helpers/rivals.js'
import type { Options } from './options.js'

/** What the sinks take together in one run, for each second of it: in less, it is over before all are under way. */
const TOGETHER = 512 * MiB
const COUNTS = [1, 4, 16, 64]
const ROUTES = [
  { source: 'socket', sink: 'socket' },
  { source: 'file', sink: 'socket' },
  { source: 'pipe', sink: 'file' },
  { source: 'socket', sink: 'pipe' },
] as const
type Route = (typeof ROUTES)[number]

/** Of the ratio that has to be 1 at most: two runs of the same differ by as much. */
const TOLERANCE = 0.05

type Runs = Record<Kind, Fanned[]>

/** What all runs need. */
interface Stage {
  directory: string
  ports: { source: number; sink: number }
  ends: Child
  fans: Record<Kind, Child>
}

/** One line of the table. */
interface Line {
  route: Route
  count: number
  bytes: number
  runs: Runs
}

export async function fanout(options: Options): Promise<Goal[]> {
  const stage = await prepare(options)
  const lines: Line[] = []
  for (const route of ROUTES) {
    for (const count of COUNTS) {
      const bytes = Math.floor((TOGETHER * options.seconds) / count) + 1
      lines.push({ route, count, bytes, runs: await compare(stage, route, count, bytes, options) })
    }
  }
  say('')
  await Promise.all([stage.ends, ...Object.values(stage.fans)].map((child) => child.stop()))
  const together = sizeName(TOGETHER * options.seconds)
  console.log(`\n## One source, many sinks\n\n${together} in all, ${options.runs} runs in turns; medians.\n`)
  console.log(fanTable(lines))
  return lines.map(goal)
}

async function prepare(options: Options): Promise<Stage> {
  const directory = temporaryDirectory(options.directory)
  const most = Math.max(...COUNTS)
  const fifos = ['source', ...Array.from({ length: most }, (_, i) => `${i}`)].map((name) => `pipe-${name}`)
  const { status } = spawnSync('mkfifo', fifos, { cwd: directory, stdio: 'inherit' })
  if (status !== 0) throw new Error('mkfifo failed')
  const ends = await startChild('ends.ts', [], pins().client)
  const fans = {
    streams: await startChild('fan.ts', ['streams'], pins().server),
    zcio: await startChild('fan.ts', ['zcio'], pins().server),
  }
  return { directory, ends, fans, ports: await ends.ask({ ask: 'ports' }) }
}

async function compare(
  stage: Stage,
  route: Route,
  count: number,
  bytes: number,
  { runs }: Options,
): Promise<Runs> {
  const path = join(stage.directory, 'bytes')
  rmSync(path, { force: true })
  writeRandomFile(path, bytes)
  const result: Runs = { streams: [], zcio: [] }
  // The first round warms up, and has all that arrives hashed.
  for (let round = 0; round <= runs; round++) {
    for (const kind of turns(round)) {
      say(`fanout ${route.source} to ${count} × ${route.sink}: round ${round} of ${runs}, ${kind}`)
      const run = await fanOnce(stage, kind, route, count, round === 0)
      if (round > 0) result[kind].push(run)
    }
  }
  return result
}

async function fanOnce(
  stage: Stage,
  kind: Kind,
  route: Route,
  count: number,
  hash: boolean,
): Promise<Fanned> {
  const { directory, ends, fans, ports } = stage
  const feed = join(directory, 'bytes')
  const fifo = join(directory, 'pipe-source')
  const source = { socket: { socket: ports.source }, file: { file: feed }, pipe: { pipe: fifo } }[
    route.source
  ]
  const names = Array.from({ length: count }, (_, i) => join(directory, `${route.sink}-${i}`))
  const sinks: Place[] = names.map(
    (name) => ({ socket: { socket: ports.sink }, file: { file: name }, pipe: { pipe: name } })[route.sink],
  )
  await ends.ask({
    feed,
    fifo: route.source === 'pipe' ? fifo : undefined,
    drains: route.sink === 'pipe' ? names : [],
    expected: route.sink === 'file' ? 0 : count,
    hash,
  } satisfies Prepare)
  const fanned = await fans[kind].ask<Fanned>({ source, sinks } satisfies Fan)
  const { drained } = await ends.ask<{ drained: Drained[] }>({ ask: 'drained' })
  const arrived = route.sink === 'file' ? names.map((name) => look(name, hash)) : drained
  check(`${kind}, ${route.source} to ${route.sink}`, arrived, look(feed, hash), count)
  return fanned
}

function look(path: string, hash: boolean): Drained {
  const sha256 = hash ? createHash('sha256').update(readFileSync(path)).digest('hex') : ''
  return { bytes: statSync(path).size, sha256 }
}

function check(what: string, arrived: readonly Drained[], wanted: Drained, count: number): void {
  if (arrived.length !== count) throw new Error(`${what}: ${arrived.length} of ${count} sinks got something`)
  const wrong = arrived.find(({ bytes, sha256 }) => bytes !== wanted.bytes || sha256 !== wanted.sha256)
  if (wrong) throw new Error(`${what}: a sink got ${wrong.bytes} bytes of ${wanted.bytes}, or other ones`)
}

function fanTable(lines: readonly Line[]): string {
  const rows = lines.flatMap(({ route, count, bytes, runs }) => {
    const name = [route.source, `${count} × ${route.sink}`, sizeName(Math.round(bytes / KiB) * KiB)]
    return [
      [...name, 'streams', ...cells(runs.streams), '', ''],
      [...name, 'zcio', ...cells(runs.zcio), times(ratio(runs, 'wall')), times(ratio(runs, 'cpu'))],
    ]
  })
  const measured = ['ms', 'CPU ms', 'loop busy', 'moved by']
  return table(['source', 'sinks', 'each', 'by', ...measured, 'time ratio', 'CPU ratio'], rows)
}

function cells(runs: readonly Fanned[]): string[] {
  return [
    figure(median(runs.map((run) => run.wall))),
    figure(median(runs.map((run) => run.cpu)) / 1000),
    median(runs.map((run) => run.loop)).toFixed(2),
    runs.at(-1)?.mechanism ?? '',
  ]
}

function ratio({ streams, zcio }: Runs, what: 'wall' | 'cpu'): number {
  return medianRatio(
    zcio.map((run) => run[what]),
    streams.map((run) => run[what]),
  )
}

function goal({ route, count, runs }: Line): Goal {
  const [wall, cpu] = [ratio(runs, 'wall'), ratio(runs, 'cpu')]
  return {
    figure: `${route.source} to ${count} × ${route.sink}: time and CPU, against pipes of Node`,
    goal: `≤ 1 ×, give or take ${TOLERANCE * 100} %`,
    measured: `${times(wall)}, ${times(cpu)}`,
    isMet: Math.max(wall, cpu) <= 1 + TOLERANCE,
  }
}
