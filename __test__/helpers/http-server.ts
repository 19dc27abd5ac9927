// Real servers whose answers are files, and how each answer went.

import type { ExecutionContext } from 'ava'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http'
import type { AddressInfo, NetConnectOpts, Socket } from 'node:net'
import type { TransferResult } from 'zcio'
import { respondWithFile, type RespondOptions } from 'zcio/http'
import { pathFor } from './files.js'
import { HttpClient } from './http-client.js'
import { until, within } from './wait.js'

export interface Outcome {
  value?: TransferResult
  error?: NodeJS.ErrnoException & { bytes?: number }
}

/** Sends the answer; what it returns is how that went. */
export type Handler = (res: ServerResponse, req: IncomingMessage) => Promise<TransferResult>

export interface TestServer {
  server: Server
  address: NetConnectOpts
  /** How the answers went, in the order of the requests. */
  outcomes: Promise<Outcome>[]
  connect(): Promise<HttpClient>
  /** How an answer went; waits for its request. */
  outcome(index?: number): Promise<Outcome>
}

export interface TestServerOptions extends ServerOptions {
  /** Listen on a unix socket: its buffer is small and has no clock of its own. */
  unix?: boolean
  server?: Server
}

/** Starts a server that is gone when the test is over. */
export async function serve(
  t: ExecutionContext,
  handler: Handler,
  { unix = false, server, ...options }: TestServerOptions = {},
): Promise<TestServer> {
  const outcomes: Promise<Outcome>[] = []
  // A busy machine can make a client pause for longer than Node's 5 s.
  const listening = server ?? createServer({ keepAliveTimeout: 60_000, ...options })
  listening.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const sending = handler(res, req)
    outcomes.push(
      sending.then(
        (value) => ({ value }),
        (error: unknown) => ({ error: error as NodeJS.ErrnoException }),
      ),
    )
  })
  const path = unix ? pathFor('socket') : undefined
  listening.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path })
  await once(listening, 'listening')
  t.teardown(() => {
    listening.close()
    if ('closeAllConnections' in listening) listening.closeAllConnections()
  })
  const port = path === undefined ? (listening.address() as AddressInfo).port : 0
  const address: NetConnectOpts = path === undefined ? { port, host: '127.0.0.1' } : { path }
  return {
    server: listening,
    address,
    outcomes,
    connect: async () => {
      const client = await HttpClient.connect(address)
      t.teardown(() => {
        client.destroy()
      })
      return client
    },
    outcome: async (index = 0) => {
      await until(`request ${index}`, () => outcomes.length > index)
      return within(`how request ${index} went`, outcomes[index] ?? Promise.resolve({}))
    },
  }
}

/** A server that answers with one file. */
export function serveFile(
  t: ExecutionContext,
  file: string | FileHandle | number,
  options: RespondOptions & TestServerOptions & { prepare?: (res: ServerResponse) => void } = {},
): Promise<TestServer> {
  const { start, end, signal, onProgress, prepare, ...serverOptions } = options
  const wanted = Object.fromEntries(
    Object.entries({ start, end, signal, onProgress }).filter(([, value]) => value !== undefined),
  )
  const handler: Handler = (res) => {
    prepare?.(res)
    return respondWithFile(res, file, wanted)
  }
  return serve(t, handler, serverOptions)
}

/** Fills what the kernel keeps for a client that does not read; returns with how many bytes. */
export function fillSendBuffer(socket: Socket): number {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const filling = Buffer.alloc(4096, 'filling')
  let bytes = 0
  for (let size = filling.length; size > 0;) {
    try {
      bytes += writeSync(fd, filling, 0, size)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      size >>= 1
    }
  }
  return bytes
}
