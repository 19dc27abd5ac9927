// Load on a server from a process of its own: by wrk where it is installed, else by the client of this folder.
//
// Not by autocannon: its parser takes so much time for a body that at 1 MiB it measures itself, whatever the server.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { has, pins, startChild } from './children.js'
import type { Fetched } from './client.js'
import { percentile } from './report.js'

/** What the client saw. */
export interface Load {
  requests: number
  /** Of bodies whole or not, and, as wrk counts, of heads. */
  bytes: number
  seconds: number
  /** 99th percentile of the time that a request took, in ms. */
  p99: number
}

export interface Loader {
  /** Asks for these files in turn, again and again, over so many connections. */
  readonly press: (
    port: number,
    names: readonly string[],
    connections: number,
    seconds: number,
  ) => Promise<Load>
  readonly stop: () => Promise<void>
}

export const loaderName = has('wrk') ? 'wrk' : 'a client of our own, since wrk is not installed'

/** Makes ready to ask for these files, which are in that directory. */
export async function startLoader(directory: string, names: readonly string[]): Promise<Loader> {
  if (has('wrk')) return { press: wrk, stop: () => Promise.resolve() }
  const client = await startChild('client.ts', [], pins().client)
  await client.ask({ learn: names, root: directory })
  const press: Loader['press'] = async (port, names, connections, seconds) => {
    const fetched = await client.ask<Fetched>({ port, names, connections, seconds }, seconds + 60)
    const [wrong] = fetched.wrong
    if (wrong !== undefined) throw new Error(wrong)
    return { ...fetched, p99: percentile(fetched.latencies, 99) }
  }
  return { press, stop: client.stop }
}

async function wrk(
  port: number,
  names: readonly string[],
  connections: number,
  seconds: number,
): Promise<Load> {
  const paths = names.map((name) => `/${name}`)
  const url = `http://127.0.0.1:${port}${paths[0] ?? ''}`
  const script = fileURLToPath(new URL('wrk.lua', import.meta.url))
  const options = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '20s',
    '-s',
    script,
    url,
    '--',
    ...paths,
  ]
  const output = await run([...pins().client, 'wrk', ...options], seconds + 30)
  const [json] = /^\{.*\}$/m.exec(output) ?? []
  if (json === undefined) throw new Error(`wrk did not say what it counted: ${output}`)
  const { errors, ...counted } = JSON.parse(json) as Load & { errors: number }
  if (errors > 0) throw new Error(`${url}: ${errors} errors`)
  return counted
}

/** Runs a command, and returns what it says. */
function run([command = '', ...args]: string[], withinSeconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: withinSeconds * 1000 })
    let output = ''
    const keep = (text: Buffer): void => {
      output += text.toString()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new Error(`${command} ended with ${code ?? 'a signal'}: ${output}`))
    })
  })
}
