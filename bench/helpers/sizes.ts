// What is asked for over HTTP.

import type { Options } from '../options.js'
import { KiB, MiB, sizeName } from './files.js'

/** A file, and how many clients ask for it at once. */
export interface Size {
  bytes: number
  connections: number
}

export const SIZES: Size[] = [
  { bytes: 4 * KiB, connections: 32 },
  { bytes: 64 * KiB, connections: 32 },
  { bytes: MiB, connections: 32 },
  { bytes: 16 * MiB, connections: 8 },
]

/** The names of the files of a size. */
export function namesOf(bytes: number, { files }: Options): [string, ...string[]] {
  const name = sizeName(bytes).replace(' ', '')
  return [name, ...Array.from({ length: files - 1 }, (_, i) => `${name}-${i + 2}`)]
}

/** The runs, for the line above a table. */
export function measuredBy({ runs, seconds, files }: Options): string {
  const many = files > 1 ? `, for ${files} files in turn` : ''
  return `${runs} runs of ${seconds} s each, in turns${many}`
}
