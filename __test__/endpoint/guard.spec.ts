// What JavaScript writes to a response while its body is under way.

import test from 'ava'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { guard, isGuarded } from '#src/endpoint/guard.js'
import { endGuarded } from '#src/endpoint/response.js'
import { isLent } from '#src/endpoint/socket.js'
import { until } from '../helpers/wait.js'

/** A response as Node makes one, on no connection. */
function response(): ServerResponse {
  return new ServerResponse(new IncomingMessage(new Socket()))
}

test('nobody else sends on a response that is guarded', (t) => {
  const res = response()
  t.false(isLent(res))
  guard(res)
  t.true(isLent(res))
  endGuarded(res)
  t.false(isLent(res))
})

test('calls that a guard keeps come after the end, in their order', async (t) => {
  const res = response()
  const told: [string, string | undefined][] = []
  const tell =
    (call: string) =>
    (error?: NodeJS.ErrnoException | null): void => {
      told.push([call, error?.code])
    }
  res.on('error', () => undefined)
  guard(res)
  t.true(isGuarded(res))
  t.false(res.write('a', 'latin1', tell('write')))
  t.is(res.end('b', tell('end')), res)
  t.false(res.writableEnded)
  endGuarded(res)
  t.true(res.writableEnded)
  t.false(isGuarded(res))
  await until('both to be told', () => told.length === 2)
  t.deepEqual(told, [
    ['write', 'ERR_STREAM_WRITE_AFTER_END'],
    ['end', 'ERR_STREAM_WRITE_AFTER_END'],
  ])
})

test('what a guard keeps is gone with the connection', (t) => {
  const res = response()
  guard(res)
  res.end('kept')
  res.req.socket.destroy()
  endGuarded(res)
  t.false(res.writableEnded)
})
