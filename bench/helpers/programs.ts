// Servers that are not Node's: started on the server's core, found to listen, ended by their id; and what any process
// has spent.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pins } from './children.js'

/** A server listens within this time, in ms. */
const PATIENCE = 10_000

/** /proc counts in ticks of this many µs. */
const TICK = 10_000

/** Runs a command that listens on the port that it is given. */
export async function startProgram(
  commandFor: (port: number) => string[],
): Promise<{ port: number; pid: number; stop: () => Promise<void> }> {
  const port = await freePort()
  const [command = '', ...args] = [...pins().server, ...commandFor(port)]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = once(child, 'exit').then(() => process.off('exit', kill))
  const started = Date.now()
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`)
    if (Date.now() - started > PATIENCE) throw new Error(`${command} does not listen`)
    await sleep(50)
  }
  return {
    port,
    pid: child.pid ?? -1,
    stop: async () => {
      kill()
      await ended
    },
  }
}

/** User and system time of all threads of a process, in µs. */
export function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
