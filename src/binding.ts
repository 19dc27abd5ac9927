// The native half: loaded when first needed, and a missing one is a value, not a throw, so that importing zcio
// works everywhere. The only importer of "#binding".

import { createRequire } from 'node:module'
import { zcioError } from './errors.js'
import type { Bytes } from './options.js'
import { fromEnvironment } from './settings.js'

export type Native = typeof import('#binding') & Primitives
export type NativeEngine = import('#binding').Engine
export type NativeEnding = import('#binding').NativeEnding
export type NativeSink = import('#binding').NativeSink
export type NativeCalls = import('#binding').Calls
export type NativeCallEnding = import('#binding').NativeCallEnding
export type NativeCallFailure = import('#binding').NativeCallFailure

/**
 * What the binding exports by hand. Each returns bytes moved, or a negative errno. A negative offset is the
 * descriptor's own position.
 */
interface Primitives {
  sendfile: (sink: number, source: number, offset: Bytes, count: Bytes) => number
  splice: (
    source: number,
    sourceOffset: Bytes,
    sink: number,
    sinkOffset: Bytes,
    length: Bytes,
    flags: number,
  ) => number
  tee: (source: number, sink: number, length: Bytes, flags: number) => number
  copyFileRange: (
    source: number,
    sourceOffset: Bytes,
    sink: number,
    sinkOffset: Bytes,
    length: Bytes,
  ) => number
}

let loaded: Native | Error | undefined

/** The binding; throws ERR_ZCIO_UNSUPPORTED with the reason where there is none. */
export function binding(): Native {
  const native = once()
  if (native instanceof Error) {
    throw zcioError('ERR_ZCIO_UNSUPPORTED', `zcio does not work here: ${native.message}`, { cause: native })
  }
  return native
}

/** Why there is no binding, or undefined where there is one. */
export function unavailable(): string | undefined {
  const native = once()
  return native instanceof Error ? native.message : undefined
}

/** Loads it once; for want of descriptors it may load another time. */
function once(): Native | Error {
  if (loaded !== undefined) return loaded
  const native = load()
  if (!(native instanceof Error && isOutOfFiles(native.cause))) loaded = native
  return native
}

function load(): Native | Error {
  if (process.platform !== 'linux') return new Error(`it needs Linux, and this is ${process.platform}`)
  try {
    // A copy, since the exports of an addon are a dictionary, in which V8 looks every function up again.
    const native = { ...(createRequire(import.meta.url)('#binding') as Native) }
    if (native.isFirstThread()) applyEnvironment(native)
    return native
  } catch (error) {
    return explain(error)
  }
}

/** What is wrong there is told, once, and not worth failing for. */
function applyEnvironment(native: Native): void {
  const { settings, wrong } = fromEnvironment(process.env, native.fileSystems())
  native.configure(settings)
  for (const message of wrong) process.emitWarning(message, { type: 'ZcioWarning', code: 'ZCIO_ENVIRONMENT' })
}

function explain(error: unknown): Error {
  if (isOutOfFiles(error)) return new Error('too many files are open to load its binary', { cause: error })
  const why = isForbidden(error)
    ? 'permission' in process
      ? '--permission forbids native addons; --allow-addons permits them, but files that zcio opens are then not subject to --allow-fs-read'
      : '--no-addons forbids native addons'
    : `no binary for this platform (${process.platform} ${process.arch}) could be loaded`
  return new Error(why, { cause: error })
}

function isOutOfFiles(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return /E[MN]FILE|too many open files/i.test(error.message) || isOutOfFiles(error.cause)
}

/** The generated loader tries several places; of why each failed it keeps the message, and not the code. */
function isForbidden(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.message.includes('loading addons is disabled') || isForbidden(error.cause)
}
