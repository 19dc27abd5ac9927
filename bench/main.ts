// `npm run bench -- SUITE...`: runs suites one after the other and ends with what they had to reach. A goal missed
// does not make it fail: figures are for reading, on a machine that has nothing else to do.

import { capabilities, isSupported } from 'zcio'
import { copy } from './copy.js'
import { goalTable, machine, type Goal } from './helpers/report.js'
import { fanout } from './fanout.js'
import { runWithTcp } from './helpers/namespace.js'
import { http } from './http.js'
import { readOptions, usage, type Options, type Suite } from './options.js'
import { pipe } from './pipe.js'
import { relay } from './relay.js'
import { slow } from './slow.js'
import { syscalls } from './syscalls.js'

const SUITES: Record<string, Suite> = { http, copy, syscalls, relay, fanout, pipe, slow }

const options = read()
if (options === undefined) console.log(usage(Object.keys(SUITES)))
else if (isSupported()) await run(options)
else refuse(capabilities().reason ?? 'zcio does not work here')

async function run(options: Options): Promise<void> {
  const status = options.tcp === undefined ? undefined : runWithTcp(options.tcp)
  if (status === undefined) await measure(options)
  else process.exitCode = status
}

async function measure(options: Options): Promise<void> {
  console.log(`Machine: ${machine()}`)
  const goals: Goal[] = []
  for (const name of options.suites) goals.push(...((await SUITES[name]?.(options)) ?? []))
  if (goals.length > 0) console.log(`\n## Goals\n\n${goalTable(goals)}`)
}

function read(): Options | undefined {
  try {
    return readOptions(process.argv.slice(2), Object.keys(SUITES))
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error))
    return undefined
  }
}

function refuse(why: string): void {
  console.error(why)
  process.exitCode = 2
}
