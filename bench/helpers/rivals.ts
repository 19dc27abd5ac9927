// The two servers that are compared, each a process of its own on the same core, and what one run cost them.

import { pins, startChild, type Child } from './children.js'
import { medianRatio } from './report.js'

export const KINDS = ['streams', 'zcio'] as const
export type Kind = (typeof KINDS)[number]

/** What a server's process did between the beginning and the end of a run. */
export interface Cost {
  /** User and system time of all its threads, in µs. */
  cpu: number
  /** Part of the time in which the event loop was busy. */
  loop: number
  /** 99th percentile of the event loop's delay, in ms, where it was watched. */
  delay: number
  /** Bytes that it had to get from a disk. */
  disk: number
  /** Mechanisms, reasons of fallbacks and errors, and how often each. */
  events: Record<string, number>
}

/** What can be measured. */
export interface Measured<K extends string = Kind> {
  readonly kind: K
  readonly port: number
  /** Lets `work` load the server, and tells what that cost it. */
  measure: <T>(work: () => Promise<T>, watchDelay?: boolean) => Promise<T & { cost: Cost }>
}

/** A server that waits to be measured. */
export interface Rival<K extends string = Kind> extends Measured<K> {
  readonly pid: number
  ask: Child['ask']
  stop: () => Promise<void>
}

export type Rivals = Record<Kind, Rival>

/** Starts one server, which gets its kind and these arguments. */
export async function startRival<K extends string>(
  kind: K,
  module: string,
  args: string[],
  prefix: string[] = pins().server,
  options: string[] = [],
): Promise<Rival<K>> {
  const child = await startChild(module, [kind, ...args], prefix, options)
  const { port } = await child.ask<{ port: number }>({ ask: 'port' })
  return {
    kind,
    port,
    pid: child.pid,
    measure: async (work, watchDelay = false) => {
      await child.ask({ ask: 'begin', watchDelay })
      const result = await work()
      const cost = await child.ask<Cost>({ ask: 'end' })
      return { ...result, cost }
    },
    ask: child.ask,
    stop: child.stop,
  }
}

/** Starts both, for as long as `work` takes. */
export async function withRivals<T>(
  module: string,
  args: string[],
  work: (rivals: Rivals) => Promise<T>,
): Promise<T> {
  const rivals = {
    streams: await startRival('streams', module, args),
    zcio: await startRival('zcio', module, args),
  }
  try {
    return await work(rivals)
  } finally {
    await Promise.all(KINDS.map((kind) => rivals[kind].stop()))
  }
}

/** In turns: who begins one round is second in the next. */
export function turns(round: number): readonly Kind[] {
  return round % 2 === 0 ? KINDS : KINDS.toReversed()
}

/** How the bodies were moved, what happened most often first; what happened less than once in a hundred times is left out. */
export function mechanismOf({ events }: Cost): string {
  const counted = Object.entries(events).filter(([name]) => !name.includes(' '))
  const sum = counted.reduce((total, [, times]) => total + times, 0)
  const usual = counted.filter(([, times]) => times > sum / 100).toSorted(([, a], [, b]) => b - a)
  return usual.map(([name]) => name).join(', ') || 'stream'
}

/** What a run of a second came to, and what that cost. */
interface Figures {
  rate: number
  cpu: number
}

/** How rate and CPU of the one compare with those of the other. */
export function ratios(ours: readonly Figures[], theirs: readonly Figures[]): Figures {
  const of = (what: keyof Figures): number =>
    medianRatio(
      ours.map((run) => run[what]),
      theirs.map((run) => run[what]),
    )
  return { rate: of('rate'), cpu: of('cpu') }
}

/** What ought not to have happened: errors of a run that nobody ended early. */
export function errorsOf({ events }: Cost): string[] {
  return Object.keys(events).filter((name) => name.startsWith('error: '))
}
