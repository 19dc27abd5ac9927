// One request and its response, and where its errors go: to the application's `next` where there is one, else to the
// client. As in serve-static, what is no file is not an error unless the application says so.

import type { IncomingMessage, ServerResponse } from 'node:http'
import createError from 'http-errors'
import type { TransferError } from '../../errors.js'
import type { Settled } from '../../move.js'
import type { Settings } from './options.js'
import { respondWithError } from './refusal.js'

/** HTTP/2's request and response have all that is used of them here. */
export class Exchange implements Settled {
  readonly settings: Settings
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly next: ((error?: unknown) => void) | undefined

  constructor(settings: Settings, req: IncomingMessage, res: ServerResponse, next: Exchange['next']) {
    this.settings = settings
    this.req = req
    this.res = res
    this.next = next
  }

  /** All is said. */
  resolve(): void {
    // Nobody waits.
  }

  /** Later, and in a promise: whoever tells has others to tell, and what is nobody's is to be known as unhandled. */
  reject(error: Error): void {
    Promise.reject(error).catch((reason: unknown) => {
      report(this, reason)
    })
  }
}

/** What ends a response without anything to tell: the client has gone, or somebody else has answered. */
const NOBODY_WAITS = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_WRITE_AFTER_END']

/** There is no file for this request: somebody else's turn, or an error. */
export function fail(exchange: Exchange, status: number, explain?: () => Error): void {
  const { settings, next } = exchange
  if (next !== undefined && settings.fallthrough && status < 500) next()
  else refuse(exchange, status, explain?.())
}

/** There is a file, and it cannot be sent: an error, whatever falls through. */
export function refuse(
  { res, next }: Exchange,
  status: number,
  reason?: Error | { headers: Record<string, string> },
): void {
  const error =
    reason instanceof Error
      ? createError(status, reason, { expose: false })
      : createError(status, reason ?? {})
  if (next !== undefined) next(error)
  else respondWithError(res, error)
}

/** Something has failed that was waited for. What is not an error of the file or of the client is nobody's to hide. */
export function report(exchange: Exchange, error: unknown): void {
  const { code = '', side } = error as TransferError
  if (side !== 'source' && NOBODY_WAITS.includes(code)) return
  const { res, next } = exchange
  if (next === undefined && side === undefined) throw error
  if (next !== undefined || !res.headersSent) refuse(exchange, 500, error as Error)
}
