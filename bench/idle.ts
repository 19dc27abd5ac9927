// What a proxy's connection costs while nothing moves: memory, and pipes. How much the engine has of it, which pages do not
// tell, crates/zcio/tests/memory.rs counts.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ONE_ARENA, pins, type Child } from './helpers/children.js'
import type { Hold } from './helpers/peers.js'
import type { Held } from './helpers/proxy.js'
import { figure, median, say, table, type Goal } from './helpers/report.js'
import { startRival, type Rival } from './helpers/rivals.js'
import type { Options } from './options.js'

const KINDS = ['bare', 'streams', 'zcio'] as const
type Kind = (typeof KINDS)[number]

/** Pairs that are there before anything is measured: what is loaded or set aside once is then. */
const BEFORE = 300
/** So many are asked for at once: a server's queue of connections holds 511. */
const BATCH = 500
/** Pairs whose growth is measured: memory is told by the page, so the more the better. */
const MORE = BATCH * Math.min(20, Math.max(1, Math.floor((openFilesLimit() - 500) / 4 / BATCH) - 1))
/** Longer than the engine keeps a pipe that was used, in ms. */
const KEPT = 3000
/** All connections are joined by then, in ms. */
const PATIENCE = 30_000

/** Growth by one connection, in bytes. */
interface Growth {
  rss: number
  /** What of it is V8's heap. */
  heap: number
  /** Pipes of the engine while all are idle. */
  pipes: number
}

/** `peers` hold connections through a proxy to `target`, their own port. */
export async function idle(peers: Child, target: number, { runs }: Options): Promise<Goal[]> {
  const result: Record<Kind, Growth[]> = { bare: [], streams: [], zcio: [] }
  for (let run = 0; run < runs; run++) {
    for (const kind of KINDS) {
      say(`relay idle: run ${run + 1} of ${runs}, ${kind}`)
      result[kind].push(await measure(kind, peers, target))
    }
  }
  say('')
  console.log(
    `\n### Idle\n\n${MORE} more pairs of sockets on ${BEFORE}, after a byte on each; ${runs} runs, medians.\n`,
  )
  console.log(idleTable(result))
  const pipes = Math.max(...result.zcio.map((growth) => growth.pipes))
  return [
    {
      figure: `pipes held by ${BEFORE + MORE} idle bridges`,
      goal: '0',
      measured: `${pipes}`,
      isMet: pipes === 0,
    },
  ]
}

/** Each time in a process of its own: what another run has freed would be taken again, and not show. */
async function measure(kind: Kind, peers: Child, target: number): Promise<Growth> {
  const proxy = await startRival(kind, 'proxy.ts', [`${target}`], [...ONE_ARENA, ...pins().server])
  try {
    await peers.ask({ hold: proxy.port, connections: BEFORE } satisfies Hold)
    const before = await settled(proxy, BEFORE)
    for (let more = 0; more < MORE; more += BATCH) {
      await peers.ask({ hold: proxy.port, connections: BATCH } satisfies Hold)
    }
    const { rss, heap, pipes } = await settled(proxy, BEFORE + MORE)
    return { rss: (rss - before.rss) / MORE, heap: (heap - before.heap) / MORE, pipes }
  } finally {
    await peers.ask({ ask: 'release' })
    await proxy.stop()
  }
}

/** Of this process and its children: Node has raised it as far as it may. */
function openFilesLimit(): number {
  const [, soft = '1024'] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return Number(soft)
}

/** Waits until so many pairs are there, and, as long as they may be kept for the next, until no pipes are. */
async function settled(proxy: Rival<Kind>, pairs: number): Promise<Held> {
  const started = Date.now()
  for (;;) {
    const held = await proxy.ask<Held>({ ask: 'held' })
    const age = Date.now() - started
    if (held.pairs === pairs && (held.pipes === 0 || age > KEPT)) return held
    if (age > PATIENCE) throw new Error(`${held.pairs} of ${pairs} connections are joined`)
    await sleep(50)
  }
}

function idleTable(result: Record<Kind, Growth[]>): string {
  const rows = KINDS.map((kind) => [
    kind,
    figure(middle(result[kind], 'rss')),
    figure(middle(result[kind], 'heap')),
    `${middle(result[kind], 'pipes')}`,
  ])
  return table(['joined by', 'RSS, bytes each', 'of that heap', 'pipes'], rows)
}

function middle(growths: readonly Growth[], what: keyof Growth): number {
  return median(growths.map((growth) => growth[what]))
}
