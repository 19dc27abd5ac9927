// Programs in a process of their own: for what ends, limits or counts a process.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { within } from './wait.js'

export interface Ended {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
}

/** Runs a module that may import zcio, perhaps after a line of shell, such as a limit, in the same process. */
export async function run(
  module: string,
  { before = ':', options = [], args = [] }: { before?: string; options?: string[]; args?: string[] } = {},
): Promise<Ended> {
  const node = [process.execPath, ...options, '--input-type=module', '--eval', module, '--', ...args]
  const child = spawn('sh', ['-c', `${before}; exec "$@"`, 'sh', ...node], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  try {
    const closed = once(child, 'close') as Promise<[number | null, string | null]>
    const [stdout, stderr, [code, signal]] = await within(
      'a child to end by itself',
      Promise.all([text(child.stdout), text(child.stderr), closed]),
    )
    return { code, signal, stdout, stderr }
  } finally {
    kill()
    process.off('exit', kill)
  }
}

/** The same for a module whose output is one value in JSON. */
export async function tell(module: string, options?: Parameters<typeof run>[1]): Promise<unknown> {
  const { stdout, ...ended } = await run(module, options)
  if (ended.code !== 0) throw new Error(`a child failed: ${JSON.stringify(ended)}`)
  return JSON.parse(stdout)
}
