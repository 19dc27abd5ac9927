// What a proxy's connection costs while nothing moves: memory beyond that of two sockets that nobody has joined, and
// pipes.

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
/** Pairs whose growth is measured. */
const MORE = 1000
/** Longer than the engine keeps a pipe that was used, in ms. */
const KEPT = 3000
/** All connections are joined by then, in ms. */
const PATIENCE = 10_000

/** Growth by one connection, in bytes. */
interface Growth {
  rss: number
  /** What of it malloc(3) has. */
  native: number
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
  const beyond = middle(result.zcio, 'native') - middle(result.bare, 'native')
  const pipes = Math.max(...result.zcio.map((growth) => growth.pipes))
  return [
    {
      figure: 'native memory of an idle bridge beyond two sockets',
      goal: '≤ 1 KiB',
      measured: `${figure(beyond)} bytes`,
      isMet: beyond <= 1024,
    },
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
    await peers.ask({ hold: proxy.port, connections: MORE } satisfies Hold)
    const { rss, native, pipes } = await settled(proxy, BEFORE + MORE)
    return { rss: (rss - before.rss) / MORE, native: (native - before.native) / MORE, pipes }
  } finally {
    await peers.ask({ ask: 'release' })
    await proxy.stop()
  }
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
    figure(middle(result[kind], 'native')),
    figure(middle(result[kind], 'native') - middle(result.bare, 'native')),
    `${middle(result[kind], 'pipes')}`,
  ])
  return table(['joined by', 'RSS, bytes each', 'native', 'beyond bare', 'pipes'], rows)
}

function middle(growths: readonly Growth[], what: keyof Growth): number {
  return median(growths.map((growth) => growth[what]))
}
