// Waiting for a stream to become usable: to open or connect, to send what is queued. Each wait also ends when the
// stream is gone or the signal aborts, with an error that says so.

import type { Readable, Writable } from 'node:stream'
import { abortError, zcioError, type Side, type TransferError } from '../errors.js'

/** Resolves when a stream that is not open or connected yet is so. */
export function ready(
  stream: Readable | Writable,
  event: 'open' | 'connect',
  side: Side,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      stream.off(event, settle).off('error', fail).off('close', fail)
      signal?.removeEventListener('abort', abort)
      resolve()
    }
    const fail = (): void => {
      reject(gone(stream, side))
      settle()
    }
    const abort = (): void => {
      reject(abortError(signal, { bytes: 0 }))
      settle()
    }
    stream.on(event, settle).on('error', fail).on('close', fail)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
  })
}

/** Resolves when everything written to the stream so far has left it. */
export function written(stream: Writable, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error | null): void => {
      signal?.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve()
    }
    const abort = (): void => {
      settle(abortError(signal, { bytes: 0 }))
    }
    signal?.addEventListener('abort', abort)
    // Not 'drain', which never comes for a short write behind a full buffer.
    stream.write('', (error) => {
      settle(error && gone(stream, 'sink'))
    })
    if (signal?.aborted) abort()
  })
}

/** Why a stream that is destroyed cannot be used: its own error, or that it was closed. */
export function gone(stream: Readable | Writable, side: Side): TransferError {
  return Object.assign(stream.errored ?? closed(side), { bytes: 0, side })
}

/** The end was closed, by its peer or by JavaScript, when it was still needed. */
export function closed(side: Side): TransferError {
  const message = `the ${side} was closed before the transfer was complete`
  return zcioError('ERR_STREAM_PREMATURE_CLOSE', message, { side })
}
