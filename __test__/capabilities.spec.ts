// What the package says of the machine it is on.

import test from 'ava'
import { readFileSync, writeSync } from 'node:fs'
import { release } from 'node:os'
import { capabilities, configure, constants, isSupported, sendfileSync } from 'zcio'
import { tell } from './helpers/children.js'
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
  for (const [name, { available, code, reason, ...more }] of Object.entries(calls)) {
    t.is(available, code === undefined, name)
    t.is(available, reason === undefined, name)
    if (code !== undefined) t.regex(code, /^E[A-Z0-9]+$/)
    t.deepEqual(more, {})
  }
  t.true(calls.splice?.available)
})

test('what cannot be asked is missing, with its mechanism and the reason', async (t) => {
  // Without descriptors there is no pipe to ask with.
  const program = `
    import { capabilities } from 'zcio'
    import { openSync } from 'node:fs'
    capabilities()
    try { for (;;) openSync('/dev/null') } catch {}
    const { calls, mechanisms } = capabilities()
    console.log(JSON.stringify({ calls, splice: mechanisms.splice, copy: mechanisms.read_write }))`
  const missing = {
    available: false,
    code: 'EMFILE',
    reason: 'the process has no descriptors left to ask with',
  }
  t.deepEqual(await tell(program, { before: 'ulimit -n 64' }), {
    calls: { pipe2: missing },
    splice: missing,
    copy: { available: true },
  })
})

test.serial(
  'a mechanism that is switched off is not available, unless it is so on some file systems only',
  (t) => {
    t.teardown(() => {
      configure({ disable: [] })
    })
    configure({ disable: ['splice', { mechanism: 'sendfile', fileSystem: 'xfs' }] })
    const { mechanisms, calls } = capabilities()
    t.like(mechanisms.splice, { available: false, code: 'SWITCHED_OFF' })
    t.true(mechanisms.sendfile.available)
    t.true(mechanisms.stream.available)
    t.true(calls.splice?.available, 'the call is there all the same')
  },
)

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
