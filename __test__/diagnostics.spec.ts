// What a listener on the tracing channel hears of transfers.

import test, { type ExecutionContext } from 'ava'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { bridge, fanOut, transfer, type TransferTrace } from 'zcio'
import { isTraced } from '#src/diagnostics.js'
import { opened, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile } from './helpers/files.js'
import { serveFile } from './helpers/http-server.js'
import { received, sockets } from './helpers/sockets.js'

type Event = [name: string, trace: TransferTrace]

/** Hears until the test is over. */
function listen(t: ExecutionContext): Event[] {
  const events: Event[] = []
  const on =
    (name: string) =>
    (trace: unknown): void => {
      events.push([name, trace as TransferTrace])
    }
  const channel = tracingChannel('zcio:transfer')
  const subscribers = {
    start: on('start'),
    end: on('end'),
    asyncStart: on('asyncStart'),
    asyncEnd: on('asyncEnd'),
    error: on('error'),
  }
  channel.subscribe(subscribers)
  t.teardown(() => {
    channel.unsubscribe(subscribers)
  })
  return events
}

const names = (events: Event[]): string[] => events.map(([name]) => name)

test.serial('nobody listens at first, and nobody after', (t) => {
  t.false(isTraced())
  const name = 'tracing:zcio:transfer:asyncEnd'
  const onMessage = (): void => undefined
  subscribe(name, onMessage)
  t.true(isTraced())
  unsubscribe(name, onMessage)
  t.false(isTraced())
})

test.serial('a transfer is told from its beginning to its result, in one object', async (t) => {
  const events = listen(t)
  const [from, to, options] = [source(t, 1000), sink(t), { start: 0 }]
  const moving = transfer(from, to, options)
  t.deepEqual(names(events), ['start', 'end'], 'the end of the synchronous part')
  const result = await moving
  t.deepEqual(names(events), ['start', 'end', 'asyncStart', 'asyncEnd'])
  t.is(new Set(events.map(([, trace]) => trace)).size, 1)
  t.deepEqual(events[0]?.[1], { operation: 'transfer', source: from, sink: to, options, result })
})

test.serial('a failure is told with its error, wrong arguments included', async (t) => {
  const events = listen(t)
  const error = await failure(transfer(opened(t, '/'), sink(t)))
  t.deepEqual(names(events), ['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  t.is(events[2]?.[1].error, error)
  t.is(events[2]?.[1].result, undefined)
  const wrong = await failure(transfer('path' as unknown as number, 1))
  t.is(events[7]?.[1].error, wrong)
})

test.serial('a response is told as well', async (t) => {
  const events = listen(t)
  const file = makeFile(1000)
  const server = await serveFile(t, file.path)
  const client = await server.connect()
  await client.get()
  const { value } = await server.outcome()
  t.deepEqual(names(events), ['start', 'end', 'asyncStart', 'asyncEnd'])
  t.like(events[0]?.[1], { operation: 'respondWithFile', source: file.path, result: value })
})

test.serial('a fan-out is told with all of its sinks', async (t) => {
  const events = listen(t)
  const [from, sinks] = [source(t, 1000), [sink(t), sink(t)]]
  const result = await fanOut(from, sinks)
  t.deepEqual(names(events), ['start', 'end', 'asyncStart', 'asyncEnd'])
  t.deepEqual(events[0]?.[1], {
    operation: 'fanOut',
    source: from,
    sink: sinks,
    options: undefined,
    result,
  })
})

test.serial('a bridge is told with both of its ends', async (t) => {
  const [[a, client], [b, server]] = await Promise.all([sockets(t), sockets(t)])
  const events = listen(t)
  const over = bridge(a, b)
  t.deepEqual(names(events), ['start', 'end'])
  const ends = [client, server].map(received)
  for (const end of [client, server]) end.end('hello')
  t.deepEqual((await Promise.all(ends)).map(String), ['hello', 'hello'])
  const result = await over
  t.deepEqual(names(events), ['start', 'end', 'asyncStart', 'asyncEnd'])
  t.like(events[0]?.[1], { operation: 'bridge', source: a, sink: b, result })
})
