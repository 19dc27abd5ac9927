// Errors shaped like Node's own: `code`, negative `errno`, `syscall`, and what a failed transfer adds to them.

import { getSystemErrorMap, inspect } from 'node:util'

/** A mechanism that moves bytes, cheapest first; `stream` is Node's own streams. */
export type Mechanism = 'reflink' | 'copy_file_range' | 'sendfile' | 'splice' | 'read_write' | 'stream'

/** A mechanism that did not run, and why: an error name of the kernel, or the name of a condition. */
export interface Fallback {
  mechanism: Mechanism
  code: string
}

/** An end of a transfer. */
export type Side = 'source' | 'sink'

/** What every failed or aborted transfer tells beside the error itself. */
export interface Progress {
  /** Bytes that the sink accepted. */
  bytes: number
  /** The end that failed. */
  side?: Side
  /** Bytes taken from the source that the sink did not accept, where they could not be put back. */
  residual?: Buffer
}

/** An error of a transfer. */
export interface TransferError extends NodeJS.ErrnoException, Progress {}

export type ZcioCode =
  'ERR_ZCIO_BUSY' | 'ERR_ZCIO_COPY_REQUIRED' | 'ERR_ZCIO_SOURCE_TRUNCATED' | 'ERR_ZCIO_UNSUPPORTED'

/** Node's own codes, where the failure is the one that Node has a code for. */
type NodeCode =
  'ERR_STREAM_PREMATURE_CLOSE' | 'ERR_STREAM_WRITE_AFTER_END' | 'ERR_HTTP_CONTENT_LENGTH_MISMATCH'

/** What the kernel said: `ENOSPC: no space left on device, sendfile`. `errno` is positive here, negative in the error. */
export function systemError(
  errno: number,
  syscall: string,
  details: Partial<Progress> & { path?: string } = {},
): TransferError {
  const [code, description] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, 'unknown error']
  const about = details.path === undefined ? '' : ` '${details.path}'`
  const error = new Error(`${code}: ${description}, ${syscall}${about}`)
  return Object.assign(error, { errno: -errno, code, syscall, bytes: 0 }, details)
}

/** One of zcio's own. */
export function zcioError(
  code: ZcioCode | NodeCode,
  message: string,
  { cause, ...details }: Partial<Progress> & { cause?: unknown } = {},
): TransferError {
  const error = new Error(message, cause === undefined ? {} : { cause })
  return Object.assign(error, { code, bytes: 0 }, details)
}

/** Whether it was refused before it began: both ends are as they were, and the caller's to use otherwise. */
export function isRefusal({ code, bytes }: Pick<TransferError, 'code' | 'bytes'>): boolean {
  return code === 'ERR_ZCIO_BUSY' || (code === 'ERR_ZCIO_COPY_REQUIRED' && bytes === 0)
}

/** For a promise of a sink's end: should it fail, the sink has accepted everything before. */
export function failsAtEnd(bytes: number): (error: unknown) => never {
  return (error) => {
    throw Object.assign(error as Error, { bytes, side: 'sink' as const })
  }
}

/** As Node's own promises reject when their signal is aborted. */
export function abortError(signal: AbortSignal | undefined, progress: Progress): Error & Progress {
  const error = new Error('The operation was aborted', { cause: signal?.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }, progress)
}

/** The argument has the wrong type. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  return coded(
    new TypeError(`The "${name}" argument must be ${expected}. Received ${describe(value)}`),
    'ERR_INVALID_ARG_TYPE',
  )
}

/** The argument has the right type but no sensible value. */
export function invalidValue(name: string, value: unknown, remedy: string): TypeError {
  return coded(
    new TypeError(`The "${name}" argument ${remedy}. Received ${describe(value)}`),
    'ERR_INVALID_ARG_VALUE',
  )
}

/** The argument is a number, but not one of those that make sense. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  return coded(
    new RangeError(
      `The value of "${name}" is out of range. It must be ${range}. Received ${describe(value)}`,
    ),
    'ERR_OUT_OF_RANGE',
  )
}

function coded<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code })
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object')
    return `an instance of ${(value.constructor as { name?: string } | undefined)?.name ?? 'Object'}`
  return `type ${typeof value} (${inspect(value)})`
}
