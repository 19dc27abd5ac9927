// 64 connections at once, of clients that pipeline, stall, and go when they please, by each of the four ways in: no byte
// of a head or a body overtakes another, and what is left behind is nothing.

import test from 'ava'
import fc from 'fast-check'
import { WAYS } from '../../fixtures/ways.js'
import { FileServer } from '../../helpers/file-server.js'
import { until } from '../../helpers/wait.js'
import { makeServed, pace, readAt, type Pace } from '../../helpers/ways.js'

const { root, files } = makeServed({ file: 3_000_000 })
const serverOf = FileServer.shared(test, WAYS, root)

/** What a client does for one answer: asks for a range, reads some of it with stalls between, and stays or goes. */
interface Visit {
  start: number
  length: number
  pace: Pace
  leaves: 'reset' | 'destroy' | undefined
}

const visit: fc.Arbitrary<Visit> = fc.record({
  start: fc.nat(files.file.bytes.length - 1),
  length: fc
    .oneof(fc.nat(200), fc.nat(20_000), fc.nat(70_000), fc.nat(files.file.bytes.length))
    .map((length) => length + 1),
  pace,
  leaves: fc.option(fc.constantFrom<'reset' | 'destroy'>('reset', 'destroy'), { freq: 5, nil: undefined }),
})
const clients = fc.array(fc.array(visit, { minLength: 1, maxLength: 5 }), { minLength: 64, maxLength: 64 })

for (const way of WAYS) {
  for (const door of ['tcp', 'unix'] as const) {
    test.serial(`64 random clients over ${door} get by ${way} what they asked for`, async (t) => {
      const server = serverOf(way)
      const before = await server.command('report')
      await fc.assert(
        fc.asyncProperty(clients, async (all) => {
          await Promise.all(all.map((visits) => live(server, door, visits)))
        }),
        { numRuns: 2, endOnFailure: true },
      )
      await until('all to be closed', async () => {
        const { sockets, files } = await server.command('report')
        return sockets === before.sockets && files === before.files
      })
      t.pass()
    })
  }
}

async function live(server: FileServer, door: 'tcp' | 'unix', visits: readonly Visit[]): Promise<void> {
  const client = await server.connect(door)
  for (const { start, length } of visits)
    client.request(files.file.url, 'GET', `Range: bytes=${start}-${start + length - 1}`)
  for (const { start, length, pace, leaves } of visits) {
    const { body } = await readAt(client, pace, 'GET', leaves !== undefined)
    const wanted = files.file.bytes.subarray(start, start + length)
    const came = leaves === undefined ? wanted : wanted.subarray(0, body.length)
    if (!body.equals(came)) throw new Error(`other bytes of ${start}+${length}`)
    if (leaves === undefined) continue
    // A unix socket has no RST to send.
    if (leaves === 'reset' && door === 'tcp') client.reset()
    else client.destroy()
    return
  }
  client.destroy()
}
