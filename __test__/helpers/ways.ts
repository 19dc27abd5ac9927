// What the specs of the four ways share: files to be served, and answers made comparable with Node's.

import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathFor, pattern } from './files.js'
import type { Answer, HttpClient } from './http-client.js'
import { put } from './static-server.js'

/** One size for each way a body goes: none, read and sent with the head, one call on this thread, the engine. */
export const SIZES = { empty: 0, tiny: 1, small: 4097, medium: 65_535, large: 300_001 }

/** Larger than all buffers between a server and a client that does not read. */
export const HUGE = 24 << 20

/** A file that is served, and its path in a request. */
export interface Served {
  url: string
  path: string
  bytes: Buffer
}

/** Makes a directory with a file of each of these sizes. */
export function makeServed<Name extends string>(
  sizes: Record<Name, number>,
  parent?: string,
): { root: string; files: Record<Name, Served> } {
  const root = pathFor('served', parent)
  const files = Object.entries<number>(sizes).map(([name, size], i) => {
    const bytes = pattern(size, i)
    return [name, { url: `/${name}.bin`, path: put(root, `${name}.bin`, bytes), bytes }]
  })
  return { root, files: Object.fromEntries(files) as Record<Name, Served> }
}

/** Without what differs from one moment to the next. */
export function timeless({ text, ...answer }: Answer): object {
  return { head: timelessHead(text), bytes: answer.bytes, hash: answer.hash, complete: answer.complete }
}

/** How a client reads one body: so many bytes, then nothing for so many ms; at the end all that is left. */
export type Pace = readonly { bytes: number; stall: number }[]

export const pace: fc.Arbitrary<Pace> = fc.array(fc.record({ bytes: fc.nat(300_000), stall: fc.nat(12) }), {
  maxLength: 5,
})

/** Reads one answer that declares its length; `hurries`: only as far as the pace says. */
export async function readAt(
  client: HttpClient,
  stalls: Pace,
  method = 'GET',
  hurries = false,
): Promise<{ head: string; body: Buffer }> {
  const { text, status, headers } = await client.head()
  const isBodyless = method === 'HEAD' || status === 204 || status === 304
  const length = isBodyless ? 0 : Number(headers['content-length'])
  const parts: Buffer[] = []
  let left = length
  for (const { bytes, stall } of stalls) {
    const part = await client.take(Math.min(bytes, left))
    left -= part.length
    parts.push(part)
    await sleep(stall)
  }
  if (!hurries) parts.push(await client.take(left))
  return { head: timelessHead(text), body: Buffer.concat(parts) }
}

function timelessHead(text: string): string {
  return text.replace(/^Date: .*$/m, 'Date')
}
