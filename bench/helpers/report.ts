// Figures as people read them: medians, ratios, Markdown tables, goals, and the machine they were taken on.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release } from 'node:os'

/** What a figure has to reach, and whether it did. */
export interface Goal {
  figure: string
  goal: string
  measured: string
  isMet: boolean
}

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** The nearest rank; the mean of the two in the middle for the median of an even number. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (percent / 100) * sorted.length
  const [low, high] = percent === 50 ? [Math.ceil(rank) - 1, Math.floor(rank)] : [Math.ceil(rank) - 1]
  const [first = NaN, second = first] = [sorted[low], high === undefined ? undefined : sorted[high]]
  return (first + second) / 2
}

/** The median of the ratios of each pair: what both suffered at the same time cancels out. */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, i) => value / (theirs[i] ?? NaN)))
}

/** 20 400, 334, 8.6: three digits or all before the point. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  const [whole = '', part] = value.toFixed(digits).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ' ')
  return part === undefined ? grouped : `${grouped}.${part}`
}

export function times(ratio: number): string {
  return `${figure(ratio)} ×`
}

/** 1/3.9: how often it goes into the other. */
export function fraction(ratio: number): string {
  return ratio < 1 ? `1/${figure(1 / ratio)}` : times(ratio)
}

/** A Markdown table, its columns aligned for reading as it is: words left, figures right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = head.map((name, i) => Math.max(3, name.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const isFigure = head.map((_, i) => rows.some((row) => /^[\d–]/.test(row[i] ?? '')) && i > 0)
  const line = (cells: readonly string[]): string =>
    `| ${width.map((w, i) => (isFigure[i] ? (cells[i] ?? '').padStart(w) : (cells[i] ?? '').padEnd(w))).join(' | ')} |`
  const rule = `| ${width.map((w, i) => (isFigure[i] ? '-'.repeat(w - 1) + ':' : '-'.repeat(w))).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => [goal.figure, goal.goal, goal.measured, goal.isMet ? 'met' : 'MISSED'])
  return table(['figure', 'goal', 'measured', ''], rows)
}

/** One line: without it no figure means anything. */
export function machine(): string {
  const load = loadavg()[0] ?? 0
  const model = cpus()[0]?.model ?? 'unknown CPU'
  const software = `Linux ${release()}, TCP by ${congestionControl()}, Node ${process.version}`
  return `${availableParallelism()} cores, ${model}, ${software}, load ${load.toFixed(1)}`
}

/** It decides how much of the loopback's time is waiting, too. */
function congestionControl(): string {
  try {
    return readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim()
  } catch {
    return 'whatever is usual here'
  }
}

/** Says what is being done on the standard error, where somebody looks at it. */
export function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`)
}
