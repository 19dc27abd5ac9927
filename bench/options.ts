// What can be said on the command line of the bench, and what a suite gives back.

import { parseArgs } from 'node:util'
import type { Goal } from './helpers/report.js'

export interface Options {
  /** Suites, in the order given. */
  suites: string[]
  /** Runs of each side. */
  runs: number
  /** Length of one run, where runs have one. */
  seconds: number
  /** How many files of each size clients ask for in turn, where they ask for files of a size. */
  files: number
  /** TCP's congestion control, in a network namespace of its own; undefined: this machine's, in this one. */
  tcp: string | undefined
  /** Where temporary files are made. */
  directory: string | undefined
}

/** Measures, prints its tables as it goes, and returns what had to be reached. */
export type Suite = (options: Options) => Promise<Goal[]>

const PARSED = {
  runs: { type: 'string', default: '7' },
  seconds: { type: 'string', default: '2' },
  files: { type: 'string', default: '1' },
  tcp: { type: 'string' },
  directory: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

export const usage = (suites: readonly string[]): string =>
  `usage: npm run bench -- SUITE... [--runs 7] [--seconds 2] [--files 1] [--tcp NAME] [--directory DIR]

Compares zcio with Node in the same run: ${suites.join(', ')}.
  --runs       runs of each side, in turns; the tables show their medians
  --seconds    length of one run under load, a whole number
  --files      so many files of each size are asked for in turn (http); of one, requests that come together share a look
  --tcp        congestion control of a network namespace for the run, such as cubic (root, unshare and ip)
  --directory  where temporary files are made; what it is on counts`

/** The options, or undefined where help is asked for or needed. */
export function readOptions(args: string[], suites: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({ args, options: PARSED, allowPositionals: true })
  const unknown = positionals.find((name) => !suites.includes(name))
  if (unknown !== undefined) throw new TypeError(`There is no suite '${unknown}'`)
  if (values.help || positionals.length === 0) return undefined
  return {
    suites: positionals,
    runs: positive('runs', values.runs),
    seconds: positive('seconds', values.seconds),
    files: positive('files', values.files),
    tcp: values.tcp,
    directory: values.directory,
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`--${name} takes a whole number from 1, not '${text}'`)
  return value
}
