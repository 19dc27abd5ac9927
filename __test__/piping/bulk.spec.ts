import test from 'ava'
import { BULK, countAnew, isTrickle } from '#src/piping/bulk.js'
import { sockets } from '../helpers/sockets.js'
import { until } from '../helpers/wait.js'

test('a socket is worth a run when it has brought much, and after one only when it has brought as much again', async (t) => {
  const [near, far] = await sockets(t)
  near.resume()
  t.true(isTrickle(near))
  for (let round = 1; round <= 2; round++) {
    far.write(Buffer.alloc(BULK - 1))
    await until('almost enough', () => near.bytesRead === round * BULK - 1)
    t.true(isTrickle(near))
    far.write('!')
    await until('enough', () => near.bytesRead === round * BULK)
    t.false(isTrickle(near))
    countAnew(near)
    t.true(isTrickle(near))
  }
})
