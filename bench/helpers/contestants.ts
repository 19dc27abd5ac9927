// Servers of files that are compared, as data: how each is started, and what it needs to be installed. All serve one
// directory on one core.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { has, pins, startChild } from './children.js'
import { startProgram } from './programs.js'

/** A server that runs. */
export interface Running {
  readonly port: number
  readonly pid: number
  readonly stop: () => Promise<void>
}

interface Contestant {
  /** Why it cannot be measured here, or undefined. */
  missing?: () => string | undefined
  /** `scratch`: a directory for what it needs besides. */
  start: (root: string, scratch: string) => Promise<Running>
}

const bun = process.env.ZCIO_BENCH_BUN ?? 'bun'
const nginx = has('nginx') ? 'nginx' : '/usr/sbin/nginx'

/** By the names of the table, in its order. */
export const CONTESTANTS = {
  streams: { start: (root) => startNode('streams', root) },
  send: { start: (root) => startNode('send', root) },
  express: { start: (root) => startNode('express', root) },
  'express + register': { start: (root) => startNode('express', root, ['--import', 'zcio/register']) },
  respondWithFile: { start: (root) => startNode('zcio', root) },
  serveStatic: { start: (root) => startNode('serveStatic', root) },
  Bun: { missing: () => unless(bun, 'or name it in ZCIO_BENCH_BUN'), start: startBun },
  Go: { missing: () => unless('go'), start: startGo },
  nginx: { missing: () => unless(nginx), start: startNginx },
} satisfies Record<string, Contestant>

export type Name = keyof typeof CONTESTANTS
export const NAMES = Object.keys(CONTESTANTS) as Name[]

/** Starts all that are installed, and says of the others why they are left out. */
export async function startAll(root: string, scratch: string): Promise<Map<Name, Running>> {
  const running = new Map<Name, Running>()
  for (const name of NAMES) {
    const contestant: Contestant = CONTESTANTS[name]
    const missing = contestant.missing?.()
    if (missing === undefined) running.set(name, await contestant.start(root, scratch))
    else console.log(`${name} is left out: ${missing}.`)
  }
  return running
}

function unless(command: string, otherwise = ''): string | undefined {
  if (has(command)) return undefined
  return [`${command} is not installed; put it into PATH`, otherwise].filter((part) => part !== '').join(', ')
}

async function startNode(kind: string, root: string, options: string[] = []): Promise<Running> {
  const child = await startChild('server.ts', [kind, root], pins().server, options)
  const { port } = await child.ask<{ port: number }>({ ask: 'port' })
  return { port, pid: child.pid, stop: child.stop }
}

function startBun(root: string): Promise<Running> {
  const script = fileURLToPath(new URL('file-server.bun.js', import.meta.url))
  return startProgram((port) => [bun, script, `${port}`, root])
}

function startGo(root: string, scratch: string): Promise<Running> {
  const program = join(scratch, 'file-server')
  const source = fileURLToPath(new URL('file-server.go', import.meta.url))
  execFileSync('go', ['build', '-o', program, source], { env: { ...process.env, GO111MODULE: 'off' } })
  return startProgram((port) => [program, `${port}`, root])
}

/** One process, as for one core; otherwise what its documentation advises for files. */
function startNginx(root: string, scratch: string): Promise<Running> {
  const config = join(scratch, 'nginx.conf')
  return startProgram((port) => {
    writeFileSync(
      config,
      `daemon off; master_process off; pid ${scratch}/nginx.pid; error_log ${scratch}/nginx.log;
      events { worker_connections 1024; }
      http {
        access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
        client_body_temp_path ${scratch}; proxy_temp_path ${scratch}; fastcgi_temp_path ${scratch};
        uwsgi_temp_path ${scratch}; scgi_temp_path ${scratch};
        server { listen 127.0.0.1:${port}; root ${root}; }
      }`,
    )
    return [nginx, '-p', scratch, '-c', config, '-e', join(scratch, 'nginx.log')]
  })
}
