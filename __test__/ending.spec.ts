import test from 'ava'
import { constants as os } from 'node:os'
import type { NativeEnding } from '#src/binding.js'
import { translate } from '#src/ending.js'

const whole: NativeEnding = { id: 1, bytes: 5, mechanism: 'splice', fallbacks: [] }
const ending = (more: Partial<NativeEnding>): ReturnType<typeof translate> => translate({ ...whole, ...more })

test('an ending is an outcome, with an error where it came early', (t) => {
  t.like(ending({}), {
    bytes: 5,
    mechanism: 'splice',
    failure: undefined,
    canceled: false,
    declined: undefined,
  })
  const residual = Buffer.from('rest')
  const full = { failure: 'SYSTEM', errno: os.errno.ENOSPC, detail: 'write', side: 'sink', residual }
  t.like(ending(full).failure, { code: 'ENOSPC', syscall: 'write', side: 'sink', bytes: 5, residual })
  for (const [failure, code] of [
    ['BUSY', 'ERR_ZCIO_BUSY'],
    ['TIMED_OUT', 'ETIMEDOUT'],
    ['COPY_REQUIRED', 'ERR_ZCIO_COPY_REQUIRED'],
    ['UNSUPPORTED', 'ERR_ZCIO_UNSUPPORTED'],
  ] as const) {
    t.is(ending({ failure }).failure?.code, code)
  }
  t.true(ending({ failure: 'CANCELED' }).canceled)
})

test("what would block the engine, or has no descriptor left to begin with, is for Node's streams", (t) => {
  const failed = (errno: number, detail: string): string | undefined =>
    ending({ failure: 'SYSTEM', errno, detail }).declined
  t.is(ending({ failure: 'BLOCKING' }).declined, 'BLOCKING')
  t.is(failed(os.errno.EMFILE, 'fcntl'), 'EMFILE')
  t.is(failed(os.errno.EMFILE, 'pipe2'), undefined)
  t.is(failed(os.errno.EBADF, 'fcntl'), undefined)
})

test('of a fan-out every sink has an outcome of its own', (t) => {
  const sinks = [
    { bytes: 5, mechanism: 'splice' },
    { bytes: 2, mechanism: 'read_write', failure: 'SYSTEM', errno: os.errno.EPIPE, detail: 'write' },
  ]
  const [good, bad] = ending({ sinks }).sinks
  t.deepEqual(good, { bytes: 5, mechanism: 'splice' })
  t.like(bad?.error, { code: 'EPIPE', side: 'sink', bytes: 2 })
})
