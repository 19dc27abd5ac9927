// The two servers and their client, and what they are put through: first every body is checked, then time is taken.

import { pins, startChild, type Child } from '../bench/helpers/children.js'
import type { Fetch, Fetched } from '../bench/helpers/client.js'
import { median } from '../bench/helpers/report.js'
import {
  errorsOf,
  KINDS,
  mechanismOf,
  turns,
  withRivals,
  type Cost,
  type Kind,
  type Rivals,
} from '../bench/helpers/rivals.js'

/** A file to be fetched, how often to be hashed, and over how many connections. */
export interface Entry {
  name: string
  size: number
  connections: number
  hashed: number
}

/** What one server did with one file. */
export interface Side {
  /** Requests in a second. */
  rate: number
  /** Bytes in a second. */
  speed: number
  /** µs of the server's CPU for one request. */
  cpu: number
  /** Part of the time in which its event loop was busy. */
  loop: number
  mechanism: string
}

export type Pair = Record<Kind, Side>
type Run = Fetched & { cost: Cost }

/** A wrong byte, length or status. */
export class Wrong extends Error {}

const ROUNDS = 3
const SECONDS = 1
export const timing = `${ROUNDS} rounds of ${SECONDS} s in turns, medians`

export interface Contest {
  /** Fetches each file from both, and hashes every body. Returns how many bodies and bytes. */
  check(): Promise<{ bodies: number; bytes: number }>
  /** Takes the time for one file. */
  race(entry: Entry): Promise<Pair>
}

/** Starts servers and client for as long as `work` takes. */
export async function withContest<T>(
  directory: string,
  entries: readonly Entry[],
  work: (contest: Contest) => Promise<T>,
): Promise<T> {
  const client = await startChild('client.ts', [], pins().client)
  try {
    await client.ask({ learn: entries.map(({ name }) => name), root: directory })
    return await withRivals('server.ts', [directory], (rivals) =>
      work({
        check: () => check(client, rivals, entries),
        race: (entry) => race(client, rivals, entry),
      }),
    )
  } finally {
    await client.stop()
  }
}

async function check(
  client: Child,
  rivals: Rivals,
  entries: readonly Entry[],
): Promise<{ bodies: number; bytes: number }> {
  const sum = { bodies: 0, bytes: 0 }
  for (const { name, connections, hashed } of entries) {
    for (const kind of KINDS) {
      const how = { names: [name], connections, requests: hashed, hash: true }
      const { requests, bytes } = await fetchFrom(client, rivals, kind, how)
      if (requests !== hashed) throw new Wrong(`${kind}: ${requests} of ${hashed} bodies of ${name} came`)
      sum.bodies += requests
      sum.bytes += bytes
    }
  }
  return sum
}

async function race(client: Child, rivals: Rivals, { name, size, connections }: Entry): Promise<Pair> {
  const runs: Record<Kind, Run[]> = { streams: [], zcio: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of turns(round)) {
      runs[kind].push(await fetchFrom(client, rivals, kind, { names: [name], connections, seconds: SECONDS }))
    }
  }
  return { streams: sideOf(runs.streams, size), zcio: sideOf(runs.zcio, size) }
}

async function fetchFrom(client: Child, rivals: Rivals, kind: Kind, how: Omit<Fetch, 'port'>): Promise<Run> {
  const rival = rivals[kind]
  const run = await rival.measure(() => client.ask<Fetched>({ ...how, port: rival.port }))
  const [wrong] = [...run.wrong, ...errorsOf(run.cost)]
  if (wrong !== undefined) throw new Wrong(`${kind}: ${wrong}`)
  return run
}

function sideOf(runs: readonly Run[], size: number): Side {
  const rate = median(runs.map(({ requests, seconds }) => requests / seconds))
  const [last] = runs.slice(-1)
  return {
    rate,
    speed: rate * size,
    cpu: median(runs.map(({ cost, requests }) => cost.cpu / requests)),
    loop: median(runs.map(({ cost }) => cost.loop)),
    mechanism: last ? mechanismOf(last.cost) : '',
  }
}
