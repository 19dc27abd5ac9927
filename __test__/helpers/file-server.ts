// Starts and commands a file server in a process of its own.

import type { ExecutionContext, TestFn } from 'ava'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { NetConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Command, Doors, Report, Started } from '../fixtures/file-server.js'
import type { Way } from '../fixtures/ways.js'
import { HttpClient } from './http-client.js'
import { until, within } from './wait.js'

export class FileServer {
  readonly #child: ChildProcess
  readonly #ended: Promise<[code: number | null, signal: string | null]>
  #doors: Partial<Doors> = {}

  private constructor(started: Started) {
    const script = new URL('../fixtures/file-server.ts', import.meta.url)
    const register = started.way === 'register' ? ['--import', 'zcio/register'] : []
    const execArgv = ['--import', '@oxc-node/core/register', ...register]
    this.#child = fork(script, [JSON.stringify(started)], { execArgv })
    this.#ended = once(this.#child, 'exit') as Promise<[number | null, string | null]>
  }

  /** One that is stopped when the test is over. */
  static async start(t: ExecutionContext, way: Way = 'respondWithFile', root = '/'): Promise<FileServer> {
    const server = new FileServer({ way, root })
    t.teardown(() => {
      server.stop()
    })
    await server.#listening()
    return server
  }

  /** One for each of these ways, for all tests of a spec. */
  static shared<W extends Way>(test: TestFn, ways: readonly W[], root: string): (way: W) => FileServer {
    const servers = new Map<W, FileServer>()
    test.before(async () => {
      for (const way of ways) servers.set(way, new FileServer({ way, root }))
      await Promise.all([...servers.values()].map((server) => server.#listening()))
    })
    test.after.always(() => {
      for (const server of servers.values()) server.stop()
    })
    return (way) => {
      const server = servers.get(way)
      if (server === undefined) throw new Error(`no server sends files by ${way}`)
      return server
    }
  }

  async #listening(): Promise<void> {
    await until('the server', async () => {
      this.#doors = (await this.command('report')).doors
      return Object.keys(this.#doors).length === 4
    })
  }

  address(door: keyof Doors = 'tcp'): NetConnectOpts {
    const at = this.#doors[door]
    return typeof at === 'number' ? { port: at, host: '127.0.0.1' } : { path: at ?? '' }
  }

  async connect(door: keyof Doors = 'tcp'): Promise<HttpClient> {
    const address = this.address(door)
    if (door !== 'tls') return HttpClient.connect(address)
    const socket = connectTls({ ...(address as { port: number }), rejectUnauthorized: false })
    await within('a TLS connection', once(socket, 'secureConnect'))
    return HttpClient.on(socket)
  }

  /** `close` and `unref` cut the line: the process then goes on, or not, by itself. */
  async command(command: Exclude<Command, 'exit'>): Promise<Report> {
    const answer = once(this.#child, 'message')
    this.#child.send(command)
    const [report] = (await within('a report', answer)) as [Report]
    return report
  }

  exit(): void {
    this.#child.send('exit' satisfies Command)
  }

  kill(): void {
    this.#child.kill('SIGTERM')
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }

  /** How the process ended. */
  async ended(): Promise<{ code: number | null; signal: string | null }> {
    const [code, signal] = await within('the end of the process', this.#ended)
    return { code, signal }
  }
}
