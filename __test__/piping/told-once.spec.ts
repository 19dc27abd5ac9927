import test from 'ava'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { systemError } from '#src/errors.js'
import { passOn } from '#src/piping/told-once.js'

test('a reset is told as Node tells it', async (t) => {
  const socket = new Socket()
  const failing = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
  passOn(systemError(104, 'splice', { bytes: 5, side: 'sink' }), socket, 'write')
  const [error] = await failing
  t.like(error, { message: 'write ECONNRESET', code: 'ECONNRESET', errno: -104, syscall: 'write' })
  t.deepEqual(Object.keys(error), ['errno', 'code', 'syscall'])
})

test('what Node meets itself is left to it', (t) => {
  const socket = new Socket()
  for (const errno of [32, 28]) passOn(systemError(errno, 'splice'), socket, 'write')
  t.false(socket.destroyed)
})
