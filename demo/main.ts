// `npm run demo`: the same files from the same server, once by Node's streams and once by zcio, every body checked.
//
// Ends with 0; with 1 where a byte, a length or a status was wrong; with 2 where zcio does not work at all.

import { join } from 'node:path'
import { capabilities, isSupported } from 'zcio'
import { pins } from '../bench/helpers/children.js'
import { KiB, MiB, sizeName, temporaryDirectory, writeRandomFile } from '../bench/helpers/files.js'
import { machine } from '../bench/helpers/report.js'
import { timing, withContest, type Contest, type Entry } from './contest.js'
import { contestTable } from './table.js'

const ENTRIES: Entry[] = [
  { name: '4k', size: 4 * KiB, connections: 32, hashed: 256 },
  { name: '64k', size: 64 * KiB, connections: 32, hashed: 256 },
  { name: '1m', size: MiB, connections: 16, hashed: 64 },
  { name: '256m', size: 256 * MiB, connections: 4, hashed: 4 },
]

/** It takes half of this on two quiet cores; whatever hangs, it ends, in ms. */
const TOO_LONG = 120_000

if (isSupported()) await demo()
else unsupported()

async function demo(): Promise<void> {
  const alarm = setTimeout(() => {
    fail(`nothing to show after ${TOO_LONG / 1000} s: gave up`)
    process.exit()
  }, TOO_LONG)
  try {
    const directory = temporaryDirectory()
    introduce()
    for (const { name, size } of ENTRIES) writeRandomFile(join(directory, name), size)
    await withContest(directory, ENTRIES, show)
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error))
  } finally {
    clearTimeout(alarm)
  }
}

async function show(contest: Contest): Promise<void> {
  const { bodies, bytes } = await contest.check()
  console.log(`checked  ${bodies} bodies, ${(bytes / 1e9).toFixed(1)} GB: the SHA-256 of every one is right`)
  console.log(`timed    ${timing}; here the length and one byte of every KiB are compared\n`)
  const results = []
  for (const entry of ENTRIES) results.push([entry.size, await contest.race(entry)] as const)
  console.log(contestTable(results))
  console.log(
    '  CPU/request: user and system time of the whole server process. loop busy: the part of the time in',
  )
  console.log('  which its event loop could serve nobody else. The ratios: zcio to streams.')
}

function introduce(): void {
  const [, , core] = pins().server
  const sizes = ENTRIES.map(({ size }) => sizeName(size)).join(', ')
  console.log(`machine  ${machine()}`)
  console.log(`files    ${sizes} of random bytes, in a temporary directory`)
  console.log(`servers  fs.createReadStream(file).pipe(res)  against  respondWithFile(res, file)`)
  console.log(
    `         each a process ${core === undefined ? 'of its own' : `on core ${core}`}, the client another`,
  )
}

function fail(why: string): void {
  console.error(`\nFAILED: ${why}`)
  process.exitCode = 1
}

function unsupported(): void {
  console.error(`Nothing to show: ${capabilities().reason ?? 'zcio does not work here'}`)
  process.exitCode = 2
}
