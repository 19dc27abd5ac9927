// Many connections at once, of random clients: what each gets is what the file holds.

import test from 'ava'
import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { respondWithFile } from 'zcio/http'
import { makeFile } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { serve, type TestServer } from '../helpers/http-server.js'
import { openDescriptors } from '../helpers/processes.js'
import { until } from '../helpers/wait.js'

const file = makeFile(3_000_000)

/** What a client does for one answer: asks for a range, reads some of it with stalls between, and stays or goes. */
interface Visit {
  start: number
  length: number
  reads: { bytes: number; stall: number }[]
  leaves: 'reset' | 'destroy' | undefined
}

const visit: fc.Arbitrary<Visit> = fc.record({
  start: fc.nat(file.bytes.length),
  length: fc.oneof(fc.nat(200), fc.nat(20_000), fc.nat(70_000), fc.nat(file.bytes.length)),
  reads: fc.array(fc.record({ bytes: fc.nat(300_000), stall: fc.nat(15) }), { maxLength: 6 }),
  leaves: fc.option(fc.constantFrom<'reset' | 'destroy'>('reset', 'destroy'), { freq: 5, nil: undefined }),
})
const clients = fc.array(fc.array(visit, { minLength: 1, maxLength: 5 }), { minLength: 64, maxLength: 64 })

for (const unix of [false, true]) {
  test.serial(`64 random clients on ${unix ? 'unix sockets' : 'TCP'} get what they asked for`, async (t) => {
    const server = await serve(
      t,
      (res, req) => {
        const [start = 0, length = 0] = req.url?.slice(1).split('-').map(Number) ?? []
        if (length === 0) return respondWithFile(res, file.path, { start: file.bytes.length })
        return respondWithFile(res, file.path, { start, end: start + length - 1 })
      },
      { unix },
    )
    const before = filesAndSockets()
    await fc.assert(
      fc.asyncProperty(clients, async (all) => {
        await Promise.all(all.map((visits) => live(server, visits)))
        await Promise.all(server.outcomes)
      }),
      { numRuns: 3, endOnFailure: true },
    )
    await until('all to be closed', () => filesAndSockets() <= before)
    t.pass()
  })
}

/** Without those that the engine itself has, once it has been needed. */
function filesAndSockets(): number {
  return openDescriptors().filter((path) => !path.startsWith('anon_inode:')).length
}

async function live(server: TestServer, visits: Visit[]): Promise<void> {
  const client = await server.connect()
  for (const one of visits) client.request(`/${one.start}-${one.length}`)
  for (const one of visits) {
    await read(client, one)
    if (one.leaves === undefined) continue
    // A unix socket has no RST to send.
    if (one.leaves === 'reset' && 'port' in server.address) client.reset()
    else client.destroy()
    return
  }
  client.destroy()
}

async function read(client: HttpClient, { start, length, reads, leaves }: Visit): Promise<void> {
  const wanted = length === 0 ? Buffer.alloc(0) : file.bytes.subarray(start, start + length)
  const { headers } = await client.head()
  if (headers['content-length'] !== String(wanted.length))
    throw new Error(`declared ${String(headers['content-length'])}`)
  let at = 0
  for (const { bytes, stall } of reads) {
    at = await compare(client, wanted, at, bytes)
    await sleep(stall)
  }
  if (leaves === undefined) await compare(client, wanted, at, wanted.length)
}

async function compare(client: HttpClient, wanted: Buffer, at: number, bytes: number): Promise<number> {
  const expected = wanted.subarray(at, at + bytes)
  if (!expected.equals(await client.take(expected.length))) throw new Error(`other bytes after ${at}`)
  return at + expected.length
}
