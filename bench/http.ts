// A file as the body of an HTTP response: `fs.createReadStream(file).pipe(res)` against `respondWithFile(res, file)`.
// Warm files of four sizes here, cold ones in cold.ts, other servers in peers.ts.

import { join } from 'node:path'
import { cold } from './cold.js'
import { KiB, MiB, sizeName, temporaryDirectory, writeRandomFile } from './helpers/files.js'
import { loaderName, startLoader, type Loader } from './helpers/load.js'
import { probe } from './helpers/probe.js'
import { figure, fraction, median, say, table, times, type Goal } from './helpers/report.js'
import {
  KINDS,
  mechanismOf,
  ratios,
  turns,
  withRivals,
  type Kind,
  type Rival,
  type Rivals,
} from './helpers/rivals.js'
import { measuredBy, namesOf, SIZES, type Size } from './helpers/sizes.js'
import type { Options } from './options.js'
import { peers } from './peers.js'

/** One run of one server. */
interface Run {
  /** Requests in a second. */
  rate: number
  /** µs of the server's CPU for one request. */
  cpu: number
  loop: number
  mechanism: string
}

type Runs = Record<Kind, Run[]>

export async function http(options: Options): Promise<Goal[]> {
  const directory = temporaryDirectory(options.directory)
  for (const { bytes } of SIZES)
    for (const name of namesOf(bytes, options)) writeRandomFile(join(directory, name), bytes)
  const loader = await startLoader(
    directory,
    SIZES.flatMap(({ bytes }) => namesOf(bytes, options)),
  )
  const results = new Map<number, Runs>()
  for (const size of SIZES) {
    const work = (rivals: Rivals): Promise<Runs> => compare(rivals, loader, directory, size, options)
    results.set(size.bytes, await withRivals('server.ts', [directory], work))
  }
  console.log(`\n## Files over HTTP\n\n${measuredBy(options)}, by ${loaderName}; medians.\n`)
  console.log(warmTable(results))
  const goals = [...warmGoals(results), ...(await peers(directory, loader, options))]
  await loader.stop()
  return [...goals, ...(await cold(options))]
}

async function compare(
  rivals: Rivals,
  loader: Loader,
  directory: string,
  { bytes, connections }: Size,
  options: Options,
): Promise<Runs> {
  const { runs, seconds } = options
  const names = namesOf(bytes, options)
  const result: Runs = { streams: [], zcio: [] }
  const press = async (rival: Rival, length: number): Promise<Run> => {
    const { port, measure } = rival
    const run = await measure(() => loader.press(port, names, connections, length))
    // A request that the end of the run has cut cost something, too.
    const done = Math.max(run.requests, run.bytes / whole[rival.kind])
    const { cost } = run
    return {
      rate: run.requests / run.seconds,
      cpu: cost.cpu / done,
      loop: cost.loop,
      mechanism: mechanismOf(cost),
    }
  }
  const whole: Record<Kind, number> = { streams: 0, zcio: 0 }
  for (const kind of KINDS) {
    whole[kind] = await probe(kind, rivals[kind].port, join(directory, names[0]), names[0])
    // What V8 compiles has to have run some hundred times, which a large file takes long for.
    await loader.press(rivals[kind].port, namesOf(4 * KiB, options), connections, 1)
    await press(rivals[kind], 1)
  }
  for (let run = 0; run < runs; run++) {
    for (const kind of turns(run)) {
      say(`http ${sizeName(bytes)}: run ${run + 1} of ${runs}, ${kind}`)
      result[kind].push(await press(rivals[kind], seconds))
    }
  }
  say('')
  return result
}

function warmTable(results: ReadonlyMap<number, Runs>): string {
  const rows = SIZES.flatMap(({ bytes, connections }) => {
    const runs = results.get(bytes)
    if (!runs) return []
    const row = (kind: Kind): string[] => [
      sizeName(bytes),
      `${connections}`,
      kind,
      ...cells(runs[kind], bytes),
    ]
    const { rate, cpu } = ratios(runs.zcio, runs.streams)
    return [
      [...row('streams'), '', ''],
      [...row('zcio'), times(rate), fraction(cpu)],
    ]
  })
  const measured = ['requests/s', 'MB/s', 'CPU µs/request', 'least–most', 'loop busy', 'moved by']
  return table(['file', 'clients', 'server', ...measured, 'requests/s ratio', 'CPU ratio'], rows)
}

function cells(runs: readonly Run[], bytes: number): string[] {
  const rate = median(runs.map((run) => run.rate))
  const cpu = runs.map((run) => run.cpu)
  return [
    figure(rate),
    figure((rate * bytes) / 1e6),
    figure(median(cpu)),
    `${figure(Math.min(...cpu))}–${figure(Math.max(...cpu))}`,
    median(runs.map((run) => run.loop)).toFixed(2),
    runs.at(-1)?.mechanism ?? '',
  ]
}

function warmGoals(results: ReadonlyMap<number, Runs>): Goal[] {
  const runs = (bytes: number): Runs => results.get(bytes) ?? { streams: [], zcio: [] }
  const against = (bytes: number): ReturnType<typeof ratios> => ratios(runs(bytes).zcio, runs(bytes).streams)
  const rate = (bytes: number, least: number): Goal => {
    const measured = against(bytes).rate
    const figure = `requests/s at ${sizeName(bytes)}, against streams`
    return { figure, goal: `≥ ${least} ×`, measured: times(measured), isMet: measured >= least }
  }
  const cpu = (bytes: number, part: number): Goal => {
    const measured = against(bytes).cpu
    const figure = `server CPU per request at ${sizeName(bytes)}, against streams`
    return { figure, goal: `≤ 1/${part}`, measured: fraction(measured), isMet: measured <= 1 / part }
  }
  const loop = median(runs(16 * MiB).zcio.map((run) => run.loop))
  const busy = {
    figure: 'event loop busy, 8 clients at 16 MiB',
    goal: '≤ 0.10',
    measured: loop.toFixed(2),
    isMet: loop <= 0.1,
  }
  return [rate(4 * KiB, 2.5), rate(64 * KiB, 3), cpu(MiB, 4), cpu(16 * MiB, 3), busy]
}
