// What all ways of sending a file share: the response, and what is wanted of it.

import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { Settled } from '../move.js'
import type { ProgressReport } from '../pulse.js'
import type { Range } from './body.js'

/** A response and what is wanted of it. */
export interface Response {
  res: ServerResponse | Http2ServerResponse
  range: Range
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
  /** Who is told how it went: now, or when it has ended. Slow readers are many, so each is one object that is told. */
  told: Settled
}
