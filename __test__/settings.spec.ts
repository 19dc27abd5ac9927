// Limits and switches: what they may be, and what the environment may say.

import test from 'ava'
import fc from 'fast-check'
import { checkMechanisms, checkSettings, fromEnvironment, type ConfigureOptions } from '#src/settings.js'
import { thrown } from './helpers/failures.js'

const fileSystems = ['xfs', 'overlay']
const check = (options: unknown): unknown => checkSettings(options as ConfigureOptions, fileSystems)

test('what is absent stays absent, and what is right stays as it is', (t) => {
  t.deepEqual(check({}), {})
  t.deepEqual(check({ diskThreads: undefined, disable: undefined }), {})
  t.deepEqual(check({ diskThreads: 128, inlineMax: 0, pipeBudget: 2 ** 30, disable: [] }), {
    diskThreads: 128,
    inlineMax: 0,
    pipeBudget: 2 ** 30,
    disable: [],
  })
  t.deepEqual(
    check({ disable: ['splice', { mechanism: 'sendfile' }, { mechanism: 'reflink', fileSystem: 7 }] }),
    {
      disable: [{ mechanism: 'splice' }, { mechanism: 'sendfile' }, { mechanism: 'reflink', fileSystem: 7 }],
    },
  )
})

test('what is wrong is refused by its name, with what would be right', (t) => {
  const wrong: [unknown, string, RegExp][] = [
    [null, 'ERR_INVALID_ARG_TYPE', /"options" argument must be an object/],
    [{ threads: 1 }, 'ERR_INVALID_ARG_VALUE', /options\.threads.*known are diskThreads, inlineMax/],
    [{ diskThreads: 0 }, 'ERR_OUT_OF_RANGE', /"options\.diskThreads".*>= 1 and <= 128/],
    [{ diskThreads: 1.5 }, 'ERR_OUT_OF_RANGE', /"options\.diskThreads".*an integer/],
    [{ inlineMax: 2 ** 20 + 1 }, 'ERR_OUT_OF_RANGE', /"options\.inlineMax".*<= 1048576/],
    [{ pipeBudget: -1 }, 'ERR_OUT_OF_RANGE', /"options\.pipeBudget".*>= 0/],
    [{ pipeBudget: 5n }, 'ERR_INVALID_ARG_TYPE', /"options\.pipeBudget" argument must be a number/],
    [{ disable: 'splice' }, 'ERR_INVALID_ARG_TYPE', /"options\.disable" argument must be an array/],
    [
      { disable: ['tee'] },
      'ERR_INVALID_ARG_VALUE',
      /"options\.disable\[0\]".*reflink, copy_file_range, sendfile, splice/,
    ],
    [{ disable: ['splice', 'stream'] }, 'ERR_INVALID_ARG_VALUE', /"options\.disable\[1\]".*fallback: false/],
    [{ disable: [{ fileSystem: 'xfs' }] }, 'ERR_INVALID_ARG_TYPE', /"options\.disable\[0\]\.mechanism"/],
    [{ disable: [{ mechanism: 'splice', on: 'xfs' }] }, 'ERR_INVALID_ARG_VALUE', /options\.disable\[0\]\.on/],
    [
      { disable: [{ mechanism: 'splice', fileSystem: 'ext5' }] },
      'ERR_INVALID_ARG_VALUE',
      /xfs, overlay.*statfs/,
    ],
    [{ disable: [{ mechanism: 'splice', fileSystem: -1 }] }, 'ERR_OUT_OF_RANGE', /fileSystem.*f_type/],
    [
      { disable: [{ mechanism: 'splice', fileSystem: true }] },
      'ERR_INVALID_ARG_TYPE',
      /a string or a number/,
    ],
  ]
  for (const [options, code, message] of wrong) {
    const error = thrown(() => check(options))
    t.is(error.code, code, error.message)
    t.regex(error.message, message)
  }
})

test('a list of mechanisms for one transfer has names only', (t) => {
  t.is(checkMechanisms('options.disable', undefined), undefined)
  t.deepEqual(checkMechanisms('options.disable', ['splice']), ['splice'])
  const error = thrown(() => checkMechanisms('options.disable', [{ mechanism: 'splice' }]))
  t.regex(error.message, /"options\.disable\[0\]" argument must be the name of a mechanism/)
})

test('every integer in its range is a limit, by option and by variable', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: -5, max: 200 }), (diskThreads) => {
      const isRight = diskThreads >= 1 && diskThreads <= 128
      const { settings, wrong } = fromEnvironment({ ZCIO_DISK_THREADS: String(diskThreads) }, fileSystems)
      t.deepEqual(settings, isRight ? { diskThreads } : {})
      t.is(wrong.length, isRight ? 0 : 1)
      if (isRight) t.deepEqual(check({ diskThreads }), { diskThreads })
      else t.is(thrown(() => check({ diskThreads })).code, 'ERR_OUT_OF_RANGE')
    }),
  )
})

test('the environment says the same in strings', (t) => {
  const environment = {
    ZCIO_DISK_THREADS: '2',
    ZCIO_INLINE_MAX: ' 0 ',
    ZCIO_PIPE_BUDGET: '1000000',
    ZCIO_DISABLE: 'splice, copy_file_range@xfs,sendfile@0x1234',
  }
  t.deepEqual(fromEnvironment(environment, fileSystems), {
    settings: {
      diskThreads: 2,
      inlineMax: 0,
      pipeBudget: 1_000_000,
      disable: [
        { mechanism: 'splice' },
        { mechanism: 'copy_file_range', fileSystem: 'xfs' },
        { mechanism: 'sendfile', fileSystem: 0x1234 },
      ],
    },
    wrong: [],
  })
  t.deepEqual(fromEnvironment({ ZCIO_DISABLE: '', ZCIO_PIPE_BUDGET: '' }, fileSystems), {
    settings: {},
    wrong: [],
  })
})

test('what is wrong in the environment is ignored, told, and does not spoil the rest', (t) => {
  const { settings, wrong } = fromEnvironment(
    { ZCIO_DISK_THREADS: 'many', ZCIO_INLINE_MAX: '1e3', ZCIO_DISABLE: 'rsync,splice,sendfile@ext5' },
    fileSystems,
  )
  t.deepEqual(settings, { disable: [{ mechanism: 'splice' }] })
  t.deepEqual(
    wrong.map((message) => /^\S+/.exec(message)?.[0]),
    ['ZCIO_DISK_THREADS=many', 'ZCIO_INLINE_MAX=1e3', 'ZCIO_DISABLE=rsync', 'ZCIO_DISABLE=sendfile@ext5'],
  )
  t.regex(wrong[0] ?? '', /is ignored\. .*an integer >= 1 and <= 128/)
})
