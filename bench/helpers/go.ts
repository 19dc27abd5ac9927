// The proxy in Go, built for the occasion where `go` is installed, as one more rival. It cannot be asked what it has
// used: /proc tells.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { has, pins } from './children.js'
import { temporaryDirectory } from './files.js'
import type { Measured } from './rivals.js'

/** USER_HZ, in which /proc counts: 100 on every Linux that Node runs on. */
const TICK = 10_000

export interface Go extends Measured<'go'> {
  stop: () => Promise<void>
}

/** Starts it; undefined, and said, where there is no `go`. */
export async function startGo(target: number): Promise<Go | undefined> {
  if (!has('go')) {
    console.log("Go's io.Copy is left out: go is not in PATH.")
    return undefined
  }
  const [command, ...args] = [...pins().server, build(), `127.0.0.1:${target}`]
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  const pid = child.pid ?? -1
  return {
    kind: 'go',
    port: Number(port.toString()),
    measure: async (work) => {
      const [before, started] = [usedBy(pid), performance.now()]
      const result = await work()
      const cpu = usedBy(pid) - before
      const loop = cpu / 1000 / (performance.now() - started)
      return { ...result, cost: { cpu, loop, delay: 0, disk: 0, events: { splice: 1 } } }
    },
    stop: async () => {
      child.stdin.end()
      await once(child, 'exit')
    },
  }
}

function build(): string {
  const program = join(temporaryDirectory(), 'relay')
  const source = fileURLToPath(new URL('../go/relay.go', import.meta.url))
  const { status, stderr } = spawnSync('go', ['build', '-o', program, source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`go build: ${stderr}`)
  return program
}

/** User and system time of a process so far, in µs: fields 14 and 15, the second of which may have spaces in it. */
function usedBy(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}
