// File to file in the page cache: `transfer`, with its progress watched and a signal to stop it, against
// `fs.copyFile`, which has neither, and against streams.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { transfer } from 'zcio'
import { MiB, sizeName, temporaryDirectory, writeRandomFile } from './helpers/files.js'
import { figure, median, medianRatio, say, table, times, type Goal } from './helpers/report.js'
import { startUsage, type Usage } from './helpers/usage.js'
import type { Options } from './options.js'

const SIZE = 1024 * MiB

interface Run extends Usage {
  mechanism: string
}

/** Each copies a file to one that does not exist yet, and says how. */
const WAYS = {
  'fs.copyFile': async (source: string, sink: string): Promise<string> => {
    await copyFile(source, sink)
    return ''
  },
  streams: async (source: string, sink: string): Promise<string> => {
    await pipeline(createReadStream(source), createWriteStream(sink))
    return 'stream'
  },
  zcio: async (source: string, sink: string): Promise<string> => {
    const [from, to] = [await open(source), await open(sink, 'wx')]
    const { signal } = new AbortController()
    let reported = 0
    try {
      const onProgress = ({ bytes }: { bytes: number }): void => {
        reported = bytes
      }
      const { mechanism } = await transfer(from, to, { signal, onProgress })
      if (reported !== SIZE) throw new Error(`the last progress was of ${reported} bytes`)
      return mechanism
    } finally {
      await Promise.all([from.close(), to.close()])
    }
  },
}

type Way = keyof typeof WAYS
const NAMES = Object.keys(WAYS) as Way[]

export async function copy({ runs, directory }: Options): Promise<Goal[]> {
  const folder = temporaryDirectory(directory)
  const source = join(folder, 'source')
  writeRandomFile(source, SIZE, true)
  const wanted = await sha256(source)
  const result: Record<Way, Run[]> = { 'fs.copyFile': [], streams: [], zcio: [] }
  // The first round warms up, and has its copies checked; the order changes with each.
  for (let round = 0; round <= runs; round++) {
    for (let i = 0; i < NAMES.length; i++) {
      const way = NAMES[(round + i) % NAMES.length] ?? 'zcio'
      say(`copy: round ${round} of ${runs}, ${way}`)
      const sink = join(folder, `sink-${round}-${i}`)
      const run = await measure(way, source, sink)
      if (round > 0) result[way].push(run)
      else if ((await sha256(sink)) !== wanted) throw new Error(`${way} copied wrong bytes`)
      await rm(sink)
    }
  }
  say('')
  console.log(`\n## File to file\n\n${sizeName(SIZE)} in the page cache, ${runs} runs in turns; medians.\n`)
  console.log(copyTable(result))
  return goals(result)
}

async function measure(way: Way, source: string, sink: string): Promise<Run> {
  const spent = startUsage()
  const mechanism = await WAYS[way](source, sink)
  return { ...spent(), mechanism }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: MiB }), hash)
  return hash.digest('hex')
}

function copyTable(result: Record<Way, Run[]>): string {
  const rows = NAMES.map((way) => {
    const runs = result[way]
    const walls = runs.map((run) => run.wall)
    return [
      way,
      figure(median(walls)),
      `${figure(Math.min(...walls))}–${figure(Math.max(...walls))}`,
      figure(median(runs.map((run) => run.cpu)) / 1000),
      median(runs.map((run) => run.loop)).toFixed(2),
      runs[0]?.mechanism ?? '',
      way === 'fs.copyFile' ? '' : times(ratio(result, way)),
    ]
  })
  return table(['way', 'ms', 'least–most', 'CPU ms', 'loop busy', 'moved by', 'against fs.copyFile'], rows)
}

function ratio(result: Record<Way, Run[]>, way: Way): number {
  return medianRatio(
    result[way].map((run) => run.wall),
    result['fs.copyFile'].map((run) => run.wall),
  )
}

function goals(result: Record<Way, Run[]>): Goal[] {
  const measured = ratio(result, 'zcio')
  return [
    {
      figure: 'file to file, 1 GiB, progress and signal on, against fs.copyFile',
      goal: '≤ 1.1 ×',
      measured: times(measured),
      isMet: measured <= 1.1,
    },
  ]
}
