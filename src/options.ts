// Defaults, validation, and messages that name the argument: what is wrong is said before anything moves.

import { Socket } from 'node:net'
import { invalidType, invalidValue, outOfRange } from './errors.js'

/** An offset or length in bytes: an integer from 0 to 2^63 - 1. */
export type Bytes = number | bigint

/** 2^63 - 1: what a file offset can be. */
const MAX_OFFSET = 0x7fff_ffff_ffff_ffffn

/** Checks an offset or length; absent stays absent. */
export function checkBytes(name: string, value: unknown): Bytes | undefined {
  // First what it mostly is.
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value
  if (value === undefined || value === null) return undefined
  if (typeof value === 'bigint') {
    if (value < 0n || value > MAX_OFFSET) throw outOfRange(name, '>= 0 and <= 2 ** 63 - 1', value)
    return value
  }
  if (typeof value !== 'number') throw invalidType(name, 'a number or a bigint', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < 0) throw outOfRange(name, '>= 0 and <= 2 ** 63 - 1', value)
  throw outOfRange(name, 'a bigint beyond 2 ** 53 - 1', value)
}

/** Checks a range as of fs.createReadStream: integers, `end` inclusive and not before `start`. */
export function checkRange(start: unknown, end: unknown): { start: number; end: number } {
  const from = checkInteger('options.start', start, 0)
  const to = end === Infinity ? Infinity : checkInteger('options.end', end, Infinity)
  if (to < from) throw outOfRange('options.start', `<= "options.end" (here: ${to})`, from)
  return { start: from, end: to }
}

function checkInteger(name: string, value: unknown, absent: number): number {
  if (value === undefined || value === null) return absent
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!Number.isSafeInteger(value) || value < 0)
    throw outOfRange(name, 'an integer >= 0 and <= 2 ** 53 - 1', value)
  return value
}

/** Whether a number can be a descriptor. */
export function isDescriptor(value: number): boolean {
  return (value | 0) === value && value >= 0
}

/** Checks a descriptor number. */
export function checkDescriptor(name: string, value: number): number {
  if (isDescriptor(value)) return value
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  throw outOfRange(name, 'an open descriptor: >= 0 and <= 2147483647', value)
}

/** Checks that a value is one of a few words. */
export function checkChoice<T extends string>(name: string, value: T, choices: readonly T[]): T {
  if (!choices.includes(value)) throw invalidValue(name, value, `must be one of '${choices.join("', '")}'`)
  return value
}

/** Checks a duration in ms. */
export function checkMilliseconds(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw invalidType(name, 'a number of milliseconds', value)
  if (!(value >= 0 && value <= 0x7fff_ffff)) throw outOfRange(name, '>= 0 and <= 2147483647', value)
  return value
}

export function checkBuffer(name: string, value: unknown): Buffer | undefined {
  if (value !== undefined && !(value instanceof Uint8Array)) throw invalidType(name, 'a Buffer', value)
  return value === undefined ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

export function checkSocket(name: string, value: unknown): asserts value is Socket {
  if (!(value instanceof Socket)) throw invalidType(name, 'a net.Socket', value)
}

export function checkBoolean(name: string, value: unknown): boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean') throw invalidType(name, 'a boolean', value)
  return value
}

export function checkFunction<F>(name: string, value: F): F {
  if (value !== undefined && typeof value !== 'function') throw invalidType(name, 'a function', value)
  return value
}

/** The least of those lengths that are there. */
export function shortest(...lengths: (Bytes | undefined)[]): Bytes | undefined {
  return lengths.reduce(
    (least, length) => (least === undefined || (length !== undefined && length < least) ? length : least),
    undefined,
  )
}

export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null || !('aborted' in value && 'addEventListener' in value)) {
    throw invalidType(name, 'an AbortSignal', value)
  }
  return value as AbortSignal
}

/** Checks that the options are an object and that none of them is misspelt: an option ignored is a promise broken. */
export function checkOptions<T extends object>(
  options: T | undefined,
  known: readonly string[],
  name = 'options',
): Partial<T> {
  if (options === undefined) return {}
  if (typeof options !== 'object' || (options as unknown) === null)
    throw invalidType(name, 'an object', options)
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw invalidValue(
        `${name}.${key}`,
        (options as Record<string, unknown>)[key],
        `is unknown; known are ${known.join(', ')}`,
      )
  }
  return options
}
