// Which codings a client would rather have than the file as it is, by its Accept-Encoding; how they are weighed is left
// to the library that Express uses.

import Negotiator from 'negotiator'
import type { Encoding } from './options.js'

/** Browsers send a handful of different headers; whoever sends others is answered without being remembered. */
const REMEMBERED = 100

const NONE: readonly never[] = []

/** Those of `available` to look for, best first; of those that the client likes equally the first of the list. */
export type Accepted = (header: unknown) => readonly Encoding[]

/** What the types of the library leave out. */
interface Ranking {
  encodings(available: readonly string[], options: { preferred: readonly string[] }): string[]
}

export function negotiation(available: readonly Encoding[]): Accepted {
  const known = new Map<string, readonly Encoding[]>()
  return (header) => {
    if (available.length === 0 || typeof header !== 'string') return NONE
    const found = known.get(header)
    if (found !== undefined) return found
    const accepted = negotiate(header, available)
    if (known.size < REMEMBERED) known.set(header, accepted)
    return accepted
  }
}

function negotiate(header: string, available: readonly Encoding[]): readonly Encoding[] {
  const negotiator = new Negotiator({ headers: { 'accept-encoding': header } }) as Ranking
  const ranked = negotiator.encodings([...available, 'identity'], { preferred: available })
  const identity = ranked.indexOf('identity')
  return ranked.slice(0, identity === -1 ? undefined : identity) as Encoding[]
}
