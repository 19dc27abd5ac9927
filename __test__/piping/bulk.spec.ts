import test from 'ava'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { BULK, countAnew, isFirst, isShort, isTrickle } from '#src/piping/bulk.js'
import { makeFile } from '../helpers/files.js'
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

test('a file is worth a run where much of a range is wanted, or the first read has shown that it may be long', async (t) => {
  const { path } = makeFile(2 * BULK)
  const wanting = (bytes: number) => createReadStream(path, { end: bytes - 1 })
  t.deepEqual(
    [1, BULK, BULK + 1].map((bytes) => isShort(wanting(bytes))),
    [true, true, false],
  )
  t.false(isFirst(wanting(BULK + 1)))
  const whole = createReadStream(path)
  t.true(isFirst(whole))
  t.false(isShort(whole))
  await once(whole, 'readable')
  t.false(isFirst(whole))
})
