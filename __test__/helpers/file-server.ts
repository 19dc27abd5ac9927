// Starts and commands a file server in a process of its own.

import type { ExecutionContext } from 'ava'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Command, Report } from '../fixtures/file-server.js'
import { HttpClient } from './http-client.js'
import { until, within } from './wait.js'

export class FileServer {
  readonly #child: ChildProcess
  readonly #ended: Promise<[code: number | null, signal: string | null]>
  #port = 0

  private constructor(t: ExecutionContext) {
    const script = new URL('../fixtures/file-server.ts', import.meta.url)
    this.#child = fork(script, { execArgv: ['--import', '@oxc-node/core/register'] })
    this.#ended = once(this.#child, 'exit') as Promise<[number | null, string | null]>
    t.teardown(() => this.#child.kill('SIGKILL'))
  }

  static async start(t: ExecutionContext): Promise<FileServer> {
    const server = new FileServer(t)
    await until('the server', async () => (server.#port = (await server.command('report')).port) > 0)
    return server
  }

  async connect(): Promise<HttpClient> {
    return HttpClient.connect({ port: this.#port, host: '127.0.0.1' })
  }

  /** All but `report` cut the line: the process then goes on, or not, by itself. */
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

  /** How the process ended. */
  async ended(): Promise<{ code: number | null; signal: string | null }> {
    const [code, signal] = await within('the end of the process', this.#ended)
    return { code, signal }
  }
}
