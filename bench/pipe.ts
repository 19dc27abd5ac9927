// From JavaScript into a pipe: `vmsplice` of 256 KiB against `fs.writeSync` to the same pipe, whose reader is a child
// that drops all by splice. And what a primitive costs beyond the call that it makes: the time in user mode of one byte
// spliced round a ring of two pipes. What the processor spends on entering the kernel is in neither.

import { writeSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { allocPages, Pipe, splice, spliceSync, vmspliceSync } from 'zcio'
import { pins, startChild, type Child } from './helpers/children.js'
import { KiB, MiB, sizeName } from './helpers/files.js'
import { figure, median, medianRatio, say, table, times, type Goal } from './helpers/report.js'
import type { Take } from './helpers/sewer.js'
import type { Options } from './options.js'

const PIECE = 256 * KiB
/** Given to the pipe for each second of a run: what is copied takes about that long. */
const BYTES = 4096 * MiB
/** So many that what the kernel counts by its ticks is exact to some percent. */
const ROUNDS = 500_000

const constant = allocPages(PIECE)
const heap = Buffer.alloc(PIECE, 1)

/** Each puts one piece into a pipe, or a part of it; the pipe waits for its reader. */
const WAYS = {
  'fs.writeSync': (fd: number) => writeSync(fd, heap),
  'vmsplice, constant': (fd: number) => vmspliceSync(fd, constant, { keep: true }),
  'fs.writeSync, refilled': (fd: number) => writeSync(fd, heap.fill(1)),
  'vmsplice, refilled': (fd: number) => vmspliceSync(fd, allocPages(PIECE).fill(1), { keep: true }),
}
type Way = keyof typeof WAYS
const NAMES = Object.keys(WAYS) as Way[]

export async function pipe({ runs, seconds }: Options): Promise<Goal[]> {
  // First, for the collector's threads have something to do after the others.
  const costs = await primitives(runs)
  const sewer = await startChild('sewer.ts', [], pins().client)
  const result = Object.fromEntries(NAMES.map((way) => [way, [] as number[]])) as Record<Way, number[]>
  for (let run = 0; run < runs; run++) {
    for (const way of run % 2 === 0 ? NAMES : NAMES.toReversed()) {
      say(`pipe: run ${run + 1} of ${runs}, ${way}`)
      result[way].push(await pour(sewer, way, BYTES * seconds))
    }
  }
  say('')
  await sewer.stop()
  console.log(`\n## Into a pipe\n\n${sizeName(PIECE)} at a time, ${runs} runs in turns; medians.\n`)
  console.log(
    table(
      ['by', 'MB/s'],
      NAMES.map((way) => [way, figure(median(result[way]) / 1e6)]),
    ),
  )
  const ratio = medianRatio(result['vmsplice, constant'], result['fs.writeSync'])
  const faster = {
    figure: 'vmsplice of 256 KiB that stay as they are, against fs.writeSync',
    goal: '≥ 4 ×',
    measured: times(ratio),
    isMet: ratio >= 4,
  }
  return [faster, ...costs]
}

/** Bytes in a second. */
async function pour(sewer: Child, way: Way, bytes: number): Promise<number> {
  using pipe = new Pipe({ capacity: MiB, readerBlocking: true, writerBlocking: true })
  const path = `/proc/${process.pid}/fd/${pipe.reader.fd}`
  const taking = sewer.ask<{ taken: number }>({ pipe: path, bytes } satisfies Take)
  // The question has left before this thread waits in the pipe.
  await new Promise(setImmediate)
  const started = performance.now()
  let sent = 0
  while (sent < bytes) sent += WAYS[way](pipe.writer.fd)
  pipe.writer.close()
  const { taken } = await taking
  const rate = taken / ((performance.now() - started) / 1000)
  if (taken !== bytes) throw new Error(`${way}: ${taken} bytes of ${bytes} came out of the pipe`)
  return rate
}

/** The loop of a program that has one: a function of its own, since V8 optimizes those best. */
function circulate(one: Pipe, other: Pipe): void {
  for (let i = 0; i < ROUNDS; i++) {
    spliceSync(one.reader, null, other.writer, null, 1)
    spliceSync(other.reader, null, one.writer, null, 1)
  }
}

/** One byte goes from pipe to pipe and back, and is still there in the end. */
async function primitives(runs: number): Promise<Goal[]> {
  using one = new Pipe()
  using other = new Pipe()
  one.writeSync(Buffer.of(42))
  const sync: number[] = []
  const promised: number[] = []
  for (let run = 0; run <= runs; run++) {
    say(`pipe: primitives, run ${run} of ${runs}`)
    const before = process.cpuUsage()
    circulate(one, other)
    const { user } = process.cpuUsage(before)
    const started = performance.now()
    for (let i = 0; i < ROUNDS / 10; i++) {
      await splice(one.reader, null, other.writer, null, 1)
      await splice(other.reader, null, one.writer, null, 1)
    }
    // The first run warms up.
    if (run > 0) promised.push(((performance.now() - started) * 1000) / (ROUNDS / 5))
    if (run > 0) sync.push((user * 1000) / (ROUNDS * 2))
  }
  say('')
  const byte = Buffer.alloc(2)
  if (one.readSync(byte) !== 1 || byte[0] !== 42) throw new Error('the byte is not what it was')
  return [
    {
      figure: 'spliceSync above its system call: time in user mode',
      goal: '≤ 250 ns',
      measured: `${figure(median(sync))} ns`,
      isMet: median(sync) <= 250,
    },
    {
      figure: 'await splice, where nothing has to be waited for',
      goal: '≤ 5 µs',
      measured: `${figure(median(promised))} µs`,
      isMet: median(promised) <= 5,
    },
  ]
}
