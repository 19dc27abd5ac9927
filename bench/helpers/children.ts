// Child processes that are asked one thing at a time over their IPC channel, pinned to a core where taskset is there,
// and ended by their id whatever becomes of this process. What they do is for the modules that they run.

import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** A child that answers. */
export interface Child {
  readonly pid: number
  /** Sends a message and waits for its answer; rejects when the child dies first or takes too long. */
  ask: <Answer>(message: object, withinSeconds?: number) => Promise<Answer>
  /** Ends it; resolves when it is gone. */
  stop: () => Promise<void>
}

/** An answer takes this long at most, in seconds, unless the question says otherwise. */
const PATIENCE = 30

const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Runs a module of this folder; `prefix` is a command to run it under, as `pins` gives it, `options` are Node's. */
export async function startChild(
  module: string,
  args: string[],
  prefix: string[] = [],
  options: string[] = [],
): Promise<Child> {
  const [execPath = '', ...execArgv] = [...prefix, process.execPath, ...process.execArgv, ...options]
  const file = fileURLToPath(new URL(module, import.meta.url))
  const child = fork(file, args, { execPath, execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  await answer(child, module, PATIENCE)
  return {
    pid: child.pid ?? -1,
    ask: async <Answer>(message: object, withinSeconds = PATIENCE) => {
      if (!child.connected) throw new Error(`${module} ended by itself`)
      child.send(message)
      return (await answer(child, module, withinSeconds)) as Answer
    },
    stop: async () => {
      if (!running.has(child)) return
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

async function answer(child: ChildProcess, module: string, withinSeconds: number): Promise<unknown> {
  const done = new AbortController()
  const { signal } = done
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`${module} ended by itself, with ${String(code)}`)
  })
  const late = sleep(withinSeconds * 1000, undefined, { signal }).then(() => {
    throw new Error(`${module} did not answer within ${withinSeconds} s`)
  })
  const message = once(child, 'message', { signal }).then(([value]) => value as { error?: string })
  const value = await Promise.race([message, gone, late]).finally(() => {
    done.abort()
  })
  if (value.error !== undefined) throw new Error(value.error)
  return value
}

/** The child's side: says that it is ready, then answers each message. It ends when its parent does. */
export function serveParent(handle: (message: never) => Promise<object>): void {
  process.on('message', (message) => {
    handle(message as never).then(reply, (error: unknown) => {
      reply({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    })
  })
  process.on('disconnect', () => process.exit())
  reply({})
}

function reply(value: object): void {
  process.send?.(value)
}

/** A prefix that has all threads share malloc's memory: what each sets aside for itself differs from run to run. */
export const ONE_ARENA = ['env', 'MALLOC_ARENA_MAX=1']

/** Whether a command is installed. */
export function has(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
}

/** The cores this process may run on. */
export function cores(): number[] {
  const [, list = '0'] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}

/** Prefixes that keep the server on one core and its client on another; none where that cannot be had. */
export function pins(): { server: string[]; client: string[] } {
  const [first, second] = cores()
  if (first === undefined || second === undefined || !has('taskset')) return { server: [], client: [] }
  return { server: ['taskset', '-c', `${first}`], client: ['taskset', '-c', `${second}`] }
}
