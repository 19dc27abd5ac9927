// The words of a search: what is tried for a path, and what is known of it from the last time.

import type { Headers } from '../../node-internals.js'
import type { Place } from '../body.js'
import type { Encoding } from './options.js'

/** A file that may answer a request. */
export interface Candidate extends Place {
  /** `Content-Type`. */
  readonly type: string
  /** `Content-Encoding`, of a compressed sibling. */
  readonly encoding: Encoding | undefined
  /** The path without the sibling's suffix. */
  readonly original: string
  /** Its compressed siblings, by their coding. */
  siblings: Map<Encoding, Candidate> | undefined
  /** What its head was when it was last sent. */
  head: Head | undefined
}

/** What is tried for a path, in this order. */
export interface Plan {
  readonly candidates: readonly Candidate[]
  /** Whether the first is what the path itself names, which may be a directory; the others only stand in for it. */
  readonly isNamed: boolean
  /** Whether the path says that it is a directory. */
  readonly isFolder: boolean
}

/** What a client can ask after later on. */
export interface Validators {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/** What the head says of a file. */
export interface Head extends Validators {
  readonly size: number
  readonly modifiedMs: number
  /** All headers of a whole file. */
  readonly whole: Headers
  /** Those of 304. */
  readonly unmodified: Headers
}
