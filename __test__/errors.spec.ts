// Errors look like Node's own, whichever side of the boundary they come from.

import test from 'ava'
import { once } from 'node:events'
import { getSystemErrorMap } from 'node:util'
import { createReadStream, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { transfer, sendfileSync } from 'zcio'
import { abortError, invalidType, invalidValue, outOfRange, systemError, zcioError } from '#src/errors.js'
import { opened, sink, source } from './helpers/descriptors.js'
import { failure, thrown, told } from './helpers/failures.js'
import { sockets, take } from './helpers/sockets.js'

test("an error of the kernel is told as fs tells it, but for the call's name", async (t) => {
  const from = opened(t, '/', 'r')
  const theirs = told(thrown(() => readSync(from, Buffer.alloc(1))))
  t.deepEqual(told(await failure(transfer(from, sink(t)))), theirs)

  const reading = opened(t, '/dev/null')
  const written = told(thrown(() => writeSync(reading, 'x')))
  t.deepEqual(told(await failure(transfer(source(t, 10), reading))), written)
  t.deepEqual(told(thrown(() => sendfileSync(reading, from, 0, 10))), {
    code: 'EBADF',
    errno: -9,
    syscall: 'sendfile',
    message: 'EBADF: bad file descriptor, sendfile',
  })
})

test('every error number has its name, its sign and its words', (t) => {
  for (const [errno, [code, description]] of getSystemErrorMap()) {
    // Numbers of libuv's own are below all of the kernel's.
    if (errno < -1000) continue
    t.deepEqual(told(systemError(-errno, 'splice')), {
      code,
      errno,
      syscall: 'splice',
      message: `${code}: ${description}, splice`,
    })
  }
  t.is(systemError(999, 'splice').message, 'E999: unknown error, splice')
  t.is(
    systemError(constants.errno.ENOENT, 'open', { path: '/x' }).message,
    "ENOENT: no such file or directory, open '/x'",
  )
})

test('what failed in a transfer tells its side and its bytes, always', async (t) => {
  const error = await failure(transfer(createReadStream('/nowhere/at/all'), sink(t)))
  t.like(error, { side: 'source', bytes: 0 })
  const [near, far] = await sockets(t)
  const moving = failure(transfer(source(t, 16 * 2 ** 20), near))
  await take(far, 1000)
  far.destroy()
  const midway = await moving
  t.is(midway.side, 'sink')
  t.true(midway.bytes >= 1000)
  t.true(midway instanceof Error)
})

test('an abort looks as one of Node does', async (t) => {
  const signal = AbortSignal.abort(new Error('why'))
  const error = await failure(transfer(source(t, 10), sink(t), { signal }))
  const theirs = await t.throwsAsync<NodeJS.ErrnoException>(once(process, 'never', { signal }))
  t.deepEqual(
    { name: error.name, code: error.code, message: error.message, cause: error.cause },
    { name: theirs.name, code: theirs.code, message: theirs.message, cause: theirs.cause },
  )
  t.is(error.bytes, 0)
  t.like(abortError(undefined, { bytes: 5, residual: Buffer.from('x') }), {
    bytes: 5,
    residual: Buffer.from('x'),
  })
})

test('a code of our own is an Error with bytes, and its cause if there is one', (t) => {
  const cause = new Error('deeper')
  const error = zcioError('ERR_ZCIO_BUSY', 'wait', { bytes: 3, side: 'sink', cause })
  t.like(error, { name: 'Error', code: 'ERR_ZCIO_BUSY', message: 'wait', bytes: 3, side: 'sink', cause })
  t.false('cause' in zcioError('ERR_ZCIO_BUSY', 'wait'))
  t.is(zcioError('ERR_ZCIO_BUSY', 'wait').bytes, 0)
})

test('a bad argument is described, whatever it is', (t) => {
  const received = (value: unknown): string =>
    /Received (.*)$/s.exec(invalidType('x', 'a number', value).message)?.[1] ?? ''
  t.deepEqual(
    [null, undefined, new Map(), Object.create(null), () => 1, parseInt, 'text', 5n, Symbol('s')].map(
      received,
    ),
    [
      'null',
      'undefined',
      'an instance of Map',
      'an instance of Object',
      'function ',
      'function parseInt',
      "type string ('text')",
      'type bigint (5n)',
      'type symbol (Symbol(s))',
    ],
  )
  t.true(invalidType('x', 'a number', 1) instanceof TypeError)
  t.true(invalidValue('x', 1, 'must be 2') instanceof TypeError)
  t.true(outOfRange('x', '>= 2', 1) instanceof RangeError)
  t.is(invalidValue('x', 1, 'must be 2').message, 'The "x" argument must be 2. Received type number (1)')
  t.is(
    outOfRange('x', '>= 2', 1).message,
    'The value of "x" is out of range. It must be >= 2. Received type number (1)',
  )
})
