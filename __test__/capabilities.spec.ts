// What the package says of the machine it is on.

import test from 'ava'
import { readFileSync, writeSync } from 'node:fs'
import { release } from 'node:os'
import { capabilities, constants, isSupported, sendfileSync } from 'zcio'
import { opened, pipe } from './helpers/descriptors.js'
import { makeFile } from './helpers/files.js'

test('it works here, and says what with', (t) => {
  t.true(isSupported())
  const told = capabilities()
  t.like(told, { supported: true, kernel: release(), nodeInternals: true, reason: undefined })
  t.false('reason' in told)
  t.deepEqual(capabilities(), told, 'asked again')
})

test('each call is available, or it says why not in the words of the kernel', (t) => {
  const { calls } = capabilities()
  for (const name of ['sendfile', 'splice', 'tee', 'vmsplice', 'copy_file_range']) t.true(name in calls, name)
  for (const [name, { available, code, ...more }] of Object.entries(calls)) {
    t.is(available, code === undefined, name)
    if (code !== undefined) t.regex(code, /^E[A-Z0-9]+$/)
    t.deepEqual(more, {})
  }
  t.true(calls.splice?.available)
})

test('the limits of pipes are those of the kernel', (t) => {
  const { pipeMaxSize, pipeUserPagesSoft } = capabilities()
  const limit = (name: string): number => Number(readFileSync(`/proc/sys/fs/${name}`, 'utf8'))
  t.is(pipeMaxSize, limit('pipe-max-size'))
  t.is(pipeUserPagesSoft, limit('pipe-user-pages-soft'))
})

test('pages are shared, or not, as it says', (t) => {
  const fd = opened(t, makeFile(Buffer.from('before')).path, 'r+')
  const between = pipe(t)
  sendfileSync(between.writer, fd, 0, 6)
  writeSync(fd, 'after!', 0)
  const read = Buffer.alloc(6)
  between.readSync(read)
  t.is(String(read), capabilities().sharedPages ? 'after!' : 'before')
})

test('the constants are those of the headers, and constant', (t) => {
  t.deepEqual(
    { ...constants },
    { SPLICE_F_MOVE: 1, SPLICE_F_NONBLOCK: 2, SPLICE_F_MORE: 4, SPLICE_F_GIFT: 8 },
  )
  t.true(Object.isFrozen(constants))
})
