// What is wrong need not be measured: one body is checked before a server is.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

/** Fetches a file from a server and compares. Returns the length of a response, head included. */
export async function probe(server: string, port: number, path: string, name: string): Promise<number> {
  const agent = new Agent({ keepAlive: true })
  const res = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ port, agent, host: '127.0.0.1', path: `/${name}` }, resolve).on('error', reject)
  })
  const body = await buffer(res)
  agent.destroy()
  if (sha256(body) !== sha256(readFileSync(path))) throw new Error(`${server} sent wrong bytes for ${name}`)
  const head = res.rawHeaders.reduce((sum, text) => sum + text.length + 2, 'HTTP/1.1 200 OK\r\n\r\n'.length)
  return head + body.length
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
