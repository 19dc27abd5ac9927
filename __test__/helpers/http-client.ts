// An HTTP client that does what well-behaved ones do not: pipelines, stalls, resets, and takes nothing on trust.
// It reads from the socket only what it is asked for, so that the server feels every stall.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { within } from './wait.js'

export interface Head {
  status: number
  headers: Record<string, string>
  /** As it came. */
  text: string
}

export interface Answer extends Head {
  /** Bytes of body that came. */
  bytes: number
  hash: string
  /** Whether the body came to its declared end. */
  complete: boolean
}

export class HttpClient {
  readonly socket: Socket
  #chunks: AsyncIterator<Buffer>
  #left: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  static async connect(options: NetConnectOpts): Promise<HttpClient> {
    const socket = connect(options)
    await within('connect', once(socket, 'connect'))
    return new HttpClient(socket)
  }

  /** Takes a socket of another kind, such as one of TLS. */
  static on(socket: Socket): HttpClient {
    return new HttpClient(socket)
  }

  /** Sends a request, and does not wait for anything. */
  request(path = '/', method = 'GET', ...headers: string[]): void {
    this.socket.write([`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n'))
  }

  /** Sends a request and reads the answer. */
  async get(path = '/', method = 'GET', ...headers: string[]): Promise<Answer> {
    this.request(path, method, ...headers)
    return this.answer(method)
  }

  /** Reads one answer to its declared end, or as much of it as comes. */
  async answer(method = 'GET'): Promise<Answer> {
    const head = await this.head()
    const hash = createHash('sha256')
    const isBodyless = method === 'HEAD' || head.status === 204 || head.status === 304
    const body = isBodyless ? { bytes: 0, complete: true } : await this.#body(head, hash)
    return { ...head, ...body, hash: hash.digest('hex') }
  }

  async head(): Promise<Head> {
    const text = await this.#line('\r\n\r\n')
    const [status = '', ...lines] = text.split('\r\n')
    const pairs = lines.map((line) => line.split(/:\s*(.*)/, 2) as [string, string])
    const headers = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]))
    return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(status)?.[1]), headers, text }
  }

  /** Reads so many bytes, or as many as come. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    await this.#each(length, (part) => parts.push(part))
    return Buffer.concat(parts)
  }

  /** Reads to the end of the connection, however it ends; returns how many bytes came. */
  async drain(): Promise<number> {
    return this.#each(Infinity, () => undefined)
  }

  /** Says that no more requests come. */
  finish(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  async #body(
    { headers }: Head,
    hash: ReturnType<typeof createHash>,
  ): Promise<{ bytes: number; complete: boolean }> {
    const feed = (part: Buffer): void => {
      hash.update(part)
    }
    if (headers['transfer-encoding'] === 'chunked') return this.#chunkedBody(feed)
    const length = Number(headers['content-length'] ?? Infinity)
    const bytes = await this.#each(length, feed)
    return { bytes, complete: bytes === length || length === Infinity }
  }

  async #chunkedBody(feed: (part: Buffer) => void): Promise<{ bytes: number; complete: boolean }> {
    for (let bytes = 0; ;) {
      const size = await this.#line('\r\n')
      if (size === '') return { bytes, complete: false }
      const length = Number.parseInt(size, 16)
      const came = await this.#each(length, feed)
      const isWhole = came === length && (await this.#line('\r\n')) === ''
      if (!isWhole || length === 0) return { bytes, complete: isWhole }
      bytes += came
    }
  }

  async #line(end: string): Promise<string> {
    let at: number
    while ((at = this.#left.indexOf(end)) === -1) {
      const more = await this.#next()
      if (more === undefined) return ''
      this.#left = Buffer.concat([this.#left, more])
    }
    const line = this.#left.toString('latin1', 0, at)
    this.#left = this.#left.subarray(at + end.length)
    return line
  }

  async #each(length: number, feed: (part: Buffer) => void): Promise<number> {
    let bytes = 0
    while (bytes < length) {
      const more = this.#left.length > 0 ? this.#left : await this.#next()
      if (more === undefined) break
      const part = more.subarray(0, length - bytes)
      this.#left = more.subarray(part.length)
      bytes += part.length
      feed(part)
    }
    return bytes
  }

  /** The next bytes; undefined when there are no more, whether by FIN or RST. */
  async #next(): Promise<Buffer | undefined> {
    try {
      const next = await within('bytes from the server', this.#chunks.next())
      return next.done === true ? undefined : next.value
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return undefined
      throw error
    }
  }
}
