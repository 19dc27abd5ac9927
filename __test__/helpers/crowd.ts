// Clients whose requests come in one turn of the server's event loop.

import type { ExecutionContext } from 'ava'
import { respondWithFile } from 'zcio/http'
import { makeFile } from './files.js'
import type { HttpClient } from './http-client.js'
import { serve, type Handler, type Outcome, type TestServerOptions } from './http-server.js'
import { until } from './wait.js'

const alone = makeFile(5000)

/** What a handler says whose answer is looked at by its bytes alone. */
export const never = { bytes: 0, mechanism: 'stream', fallbacks: [] } as const

/** Clients whose requests come in one turn, and what the server makes of those that are not `/alone`. */
export async function crowd(
  t: ExecutionContext,
  count: number,
  handler: Handler,
  options: TestServerOptions = {},
): Promise<{
  clients: HttpClient[]
  askTogether: (path?: string) => void
  outcomes: () => Promise<Outcome[]>
}> {
  const answers: Promise<Outcome>[] = []
  const answer: Handler = (res, req) => {
    if (req.url === '/alone') return respondWithFile(res, alone.path)
    const sending = handler(res, req)
    answers.push(
      sending.then(
        (value) => ({ value }),
        (error: unknown) => ({ error: error as NodeJS.ErrnoException }),
      ),
    )
    return sending
  }
  const server = await serve(t, answer, options)
  const clients = await Promise.all(Array.from({ length: count }, () => server.connect()))
  // The turn before tells: it had one request.
  for (const client of clients) await client.get('/alone')
  return {
    clients,
    askTogether: (path = '/together') => {
      // They are in the kernel before the event loop looks again.
      for (const client of clients) client.request(path)
    },
    outcomes: async () => {
      await until('the requests', () => answers.length === count)
      return Promise.all(answers)
    },
  }
}
