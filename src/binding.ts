// The native half: loaded when first needed, and a missing one is a value, not a throw, so that importing zcio
// works everywhere. The only importer of "#binding".

import { createRequire } from 'node:module'
import { zcioError } from './errors.js'
import { fromEnvironment } from './settings.js'

export type Native = typeof import('#binding')
export type NativeEngine = import('#binding').Engine
export type NativeEnding = import('#binding').NativeEnding
export type NativeSink = import('#binding').NativeSink
export type NativeCalls = import('#binding').Calls
export type NativeCallEnding = import('#binding').NativeCallEnding
export type NativeCallFailure = import('#binding').NativeCallFailure

let loaded: Native | Error | undefined

/** The binding; throws ERR_ZCIO_UNSUPPORTED with the reason where there is none. */
export function binding(): Native {
  loaded ??= load()
  if (loaded instanceof Error) {
    throw zcioError('ERR_ZCIO_UNSUPPORTED', `zcio does not work here: ${loaded.message}`, { cause: loaded })
  }
  return loaded
}

/** Why there is no binding, or undefined where there is one. */
export function unavailable(): string | undefined {
  loaded ??= load()
  return loaded instanceof Error ? loaded.message : undefined
}

function load(): Native | Error {
  if (process.platform !== 'linux') return new Error(`it needs Linux, and this is ${process.platform}`)
  try {
    const native = createRequire(import.meta.url)('#binding') as Native
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
  const why = isForbidden(error)
    ? 'permission' in process
      ? '--permission forbids native addons; --allow-addons permits them, but files that zcio opens are then not subject to --allow-fs-read'
      : '--no-addons forbids native addons'
    : `no binary for this platform (${process.platform} ${process.arch}) could be loaded`
  return new Error(why, { cause: error })
}

/** The generated loader tries several places; of why each failed it keeps the message, and not the code. */
function isForbidden(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.message.includes('loading addons is disabled') || isForbidden(error.cause)
}
