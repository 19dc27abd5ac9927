// What a client costs that has asked for a large file and reads nothing: memory beyond that of a response of Node's
// that has sent its head, and none of its body. By each of the ways in, and by Node's streams.

import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ONE_ARENA, pins, startChild, type Child } from './helpers/children.js'
import { MiB, temporaryDirectory } from './helpers/files.js'
import type { Stall } from './helpers/readers.js'
import { figure, median, say, table, type Goal } from './helpers/report.js'
import { startRival, type Rival } from './helpers/rivals.js'
import type { Stalled } from './helpers/stalled.js'
import type { Options } from './options.js'

/**
 * What V8 sets aside for collecting garbage would else grow meanwhile by more than what is measured: its young generation
 * has its full size from the start, and is used up by `stalled`, and no thread has memory of its own.
 */
const STEADY = ['--min-semi-space-size=16', '--max-semi-space-size=16', '--v8-pool-size=0']

const KINDS = ['bare', 'streams', 'respondWithFile', 'serveStatic', 'pipeline', 'register'] as const
type Kind = (typeof KINDS)[number]

/** Clients that are there before anything is measured: what is loaded or set aside once is then. */
const BEFORE = 300
/** Clients whose growth is measured. */
const MORE = 1000
/** Sparse, and of no matter: nobody reads more than the kernel keeps. */
const SIZE = 1024 * MiB
const FILE = 'large'
/** All answers are under way by then, in ms. */
const PATIENCE = 30_000

/** Growth by one client, in bytes. */
interface Growth {
  rss: number
  /** What of it is V8's heap. */
  heap: number
}

export async function slow({ runs, directory }: Options): Promise<Goal[]> {
  const root = temporaryDirectory(directory)
  const fd = openSync(join(root, FILE), 'w')
  ftruncateSync(fd, SIZE)
  closeSync(fd)
  const readers = await startChild('readers.ts', [], pins().client)
  const result = new Map<Kind, Growth[]>(KINDS.map((kind) => [kind, []]))
  for (let run = 0; run < runs; run++) {
    for (const kind of KINDS) {
      say(`slow: run ${run + 1} of ${runs}, ${kind}`)
      result.get(kind)?.push(await measure(kind, readers, root))
    }
  }
  await readers.stop()
  say('')
  console.log('\n## Slow readers\n')
  console.log(
    `${MORE} more clients on ${BEFORE} that read nothing of 1 GiB, malloc with one arena; ${runs} runs, medians.\n`,
  )
  console.log(slowTable(result))
  return KINDS.filter((kind) => kind === 'respondWithFile' || kind === 'serveStatic').map((kind) => {
    const beyond = middle(result, kind, 'rss') - middle(result, 'bare', 'rss')
    return {
      figure: `memory of a client that reads nothing, by ${kind}, beyond a head`,
      goal: '≤ 2 048 bytes',
      measured: `${figure(beyond)} bytes`,
      isMet: beyond <= 2048,
    }
  })
}

/** Each time in a process of its own: what another run has freed would be taken again, and not show. */
async function measure(kind: Kind, readers: Child, root: string): Promise<Growth> {
  const register = kind === 'register' ? ['--import', 'zcio/register'] : []
  const options = [...STEADY, ...register]
  const server = await startRival(
    kind,
    'stalled.ts',
    [join(root, FILE)],
    [...ONE_ARENA, ...pins().server],
    options,
  )
  try {
    await readers.ask({ stall: server.port, clients: BEFORE } satisfies Stall)
    const before = await settled(server, BEFORE)
    await readers.ask({ stall: server.port, clients: MORE } satisfies Stall)
    const after = await settled(server, BEFORE + MORE)
    return { rss: (after.rss - before.rss) / MORE, heap: (after.heap - before.heap) / MORE }
  } finally {
    await readers.ask({ ask: 'release' })
    await server.stop()
  }
}

/** Waits until so many have asked, and nothing moves any more. */
async function settled(server: Rival<Kind>, clients: number): Promise<Stalled> {
  const started = Date.now()
  for (let sent = NaN; ;) {
    const stalled = await server.ask<Stalled>({ ask: 'stalled' })
    if (stalled.clients === clients && stalled.sent === sent) return stalled
    sent = stalled.sent
    if (Date.now() - started > PATIENCE)
      throw new Error(`${stalled.clients} of ${clients} clients are served`)
    await sleep(200)
  }
}

function slowTable(result: ReadonlyMap<Kind, Growth[]>): string {
  const rows = KINDS.map((kind) => [
    kind,
    figure(middle(result, kind, 'rss')),
    figure(middle(result, kind, 'heap')),
    figure(middle(result, kind, 'rss') - middle(result, 'bare', 'rss')),
  ])
  return table(['server', 'RSS, bytes each', 'of that heap', 'beyond bare'], rows)
}

function middle(result: ReadonlyMap<Kind, Growth[]>, kind: Kind, what: keyof Growth): number {
  return median(result.get(kind)?.map((growth) => growth[what]) ?? [])
}
