// Directories to be served, and two servers for the same one: ours and serve-static, whose answers are the specification.

import type { ExecutionContext } from 'ava'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import serveStaticOriginal from 'serve-static'
import { serveStatic, type ServeStaticOptions } from 'zcio/http'
import { pathFor, pattern } from './files.js'
import { HttpClient, type Answer } from './http-client.js'

export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/** One file for each way a body goes, names and places of all kinds, and secrets around them. */
const FILES: Record<string, number> = {
  'secret.txt': 6,
  'root-evil/file.txt': 10,
  'root/index.html': 100,
  'root/file.txt': 4097,
  'root/large.bin': 65_535,
  'root/huge.bin': 1_000_001,
  'root/empty.txt': 0,
  'root/no-extension': 20,
  'root/page.html': 30,
  'root/both.html': 31,
  'root/both.htm': 32,
  'root/.hidden': 33,
  'root/.well-known/file.txt': 34,
  'root/dir/index.html': 35,
  'root/dir/file.json': 36,
  'root/dir/.secret.txt': 37,
  'root/bare/file.css': 38,
  'root/dir.d/file.weird': 39,
  'root/a b.txt': 40,
  'root/grüße.txt': 41,
  'root/100%.txt': 42,
  'root/back\\slash.txt': 43,
  'root/...': 44,
  'root/file..txt': 45,
  'root/nested/index.html/file.txt': 46,
}

const LINKS: Record<string, string> = {
  'root/link.txt': 'file.txt',
  'root/linked': 'dir',
  'root/dir/up.txt': '../file.txt',
  'root/dangling.txt': 'nowhere.txt',
  'root/loop.txt': 'loop.txt',
  'root/outward.txt': '../secret.txt',
  'root/outside': '..',
}

/** Makes a directory that has all of these; returns its path. */
export function makeRoot(): string {
  const place = pathFor('static')
  for (const [path, size] of Object.entries(FILES)) put(place, path, pattern(size, size))
  for (const [path, target] of Object.entries(LINKS)) symlinkSync(target, join(place, path))
  symlinkSync(join(place, 'root/file.txt'), join(place, 'root/absolute.txt'))
  execFileSync('mkfifo', [join(place, 'root/fifo.txt')])
  return join(place, 'root')
}

/** Writes a file, and makes the directories that it needs. */
export function put(root: string, path: string, content: Buffer | string): string {
  const whole = join(root, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, content)
  return whole
}

/** What the application answers where the middleware does not: it tells what it has been told. */
export function application(middleware: Middleware, before?: Middleware) {
  return (req: IncomingMessage, res: ServerResponse): void => {
    const last = (error?: unknown): void => {
      const { status, statusCode, code, headers } = (error ?? {}) as Record<string, unknown>
      if (res.headersSent) {
        res.destroy()
        return
      }
      res.statusCode = typeof status === 'number' ? status : 404
      const answer = JSON.stringify({ isError: error !== undefined, status, statusCode, code, headers })
      res.setHeader('Content-Length', answer.length)
      res.end(answer)
    }
    const serve = (): void => {
      middleware(req, res, last)
    }
    if (before === undefined) serve()
    else before(req, res, serve)
  }
}

/** Starts a server; returns how to ask it, over one connection for as long as that lasts. */
export async function ask(
  t: ExecutionContext,
  listener: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<(path: string, method?: string, ...headers: string[]) => Promise<Answer>> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let client: HttpClient | undefined
  t.teardown(() => {
    client?.destroy()
    server.close()
  })
  return async (path, method, ...headers) => {
    if (client === undefined || client.socket.destroyed || client.socket.readableEnded) {
      client?.destroy()
      client = await HttpClient.connect({ port, host: '127.0.0.1' })
    }
    const answer = await client.get(path, method, ...headers)
    if (answer.headers.connection === 'close' || !answer.complete) {
      client.destroy()
      client = undefined
    }
    return answer
  }
}

/** Ours and theirs for the same root and options. */
export async function both(
  t: ExecutionContext,
  root: string,
  options: ServeStaticOptions = {},
  before?: Middleware,
  serve = serveStatic,
): Promise<
  (
    path: string,
    method?: string,
    ...headers: string[]
  ) => Promise<Record<'ours' | 'theirs', Omit<Answer, 'text'>>>
> {
  const theirs = serveStaticOriginal(root, options as serveStaticOriginal.ServeStaticOptions) as Middleware
  const askOurs = await ask(t, application(serve(root, options), before))
  const askTheirs = await ask(t, application(theirs, before))
  return async (...request) => {
    const [ours, theirs] = await Promise.all([askOurs(...request), askTheirs(...request)])
    return { ours: comparable(ours), theirs: comparable(theirs) }
  }
}

/** Without what differs from one moment to the next, or says nothing: the order of the headers. */
function comparable({ status, headers: all, bytes, hash, complete }: Answer): Omit<Answer, 'text'> {
  const headers = Object.entries(all).filter(([name]) => name !== 'date')
  return { status, bytes, hash, complete, headers: Object.fromEntries(headers.sort()) }
}
