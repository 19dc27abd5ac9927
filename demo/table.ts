// The demo's table: what was measured side by side, and how often better.

import { sizeName } from '../bench/helpers/files.js'
import { figure, fraction, times } from '../bench/helpers/report.js'
import type { Pair, Side } from './contest.js'

interface Column {
  head: string
  width: number
  /** Words stand to the left, figures to the right. */
  isWord?: boolean
}

const COLUMNS: Column[] = [
  { head: 'file', width: 9, isWord: true },
  { head: 'server', width: 8, isWord: true },
  { head: 'requests/s', width: 11 },
  { head: 'MB/s', width: 8 },
  { head: 'CPU/request', width: 13 },
  { head: 'loop busy', width: 11 },
  { head: '  moved by', width: 14, isWord: true },
  { head: 'ratio', width: 8 },
  { head: 'CPU ratio', width: 11 },
]

/** Two rows a size; the ratios in the second. */
export function contestTable(results: readonly (readonly [size: number, pair: Pair])[]): string {
  const rule = '  ' + '─'.repeat(COLUMNS.reduce((sum, { width }) => sum + width, 0))
  const rows = results.flatMap(([size, { streams, zcio }]) => [
    line([sizeName(size), 'streams', ...cells(streams)]),
    line(['', 'zcio', ...cells(zcio), times(zcio.rate / streams.rate), fraction(zcio.cpu / streams.cpu)]),
    rule,
  ])
  return [rule, line(COLUMNS.map(({ head }) => head)), rule, ...rows].join('\n')
}

function cells({ rate, speed, cpu, loop, mechanism }: Side): string[] {
  const time = cpu >= 10_000 ? `${figure(cpu / 1000)} ms` : `${figure(cpu)} µs`
  return [figure(rate), figure(speed / 1e6), time, `${(loop * 100).toFixed(0)} %`, `  ${mechanism}`]
}

function line(texts: readonly string[]): string {
  const padded = COLUMNS.map(({ width, isWord }, i) =>
    isWord ? (texts[i] ?? '').padEnd(width) : (texts[i] ?? '').padStart(width),
  )
  return `  ${padded.join('')}`.trimEnd()
}
