// Bad input is refused before anything moves: with Node's codes, the argument's name, and what would do.

import test from 'ava'
import fc from 'fast-check'
import { fstatSync } from 'node:fs'
import { transfer, type TransferOptions } from 'zcio'
import { checkBytes, checkRange } from '#src/options.js'
import { position, sink, source } from './helpers/descriptors.js'
import { failure, thrown } from './helpers/failures.js'

/** Values of every type, but for what is named. */
function junk(
  ...but: ('boolean' | 'function' | 'number' | 'bigint' | 'undefined' | 'null')[]
): fc.Arbitrary<unknown> {
  return fc
    .oneof(
      fc.constantFrom(true, false, null, undefined, {}, [], NaN, () => 1, Symbol('x'), new Date(0), /x/),
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.bigInt(),
    )
    .filter((value) => !but.includes((value === null ? 'null' : typeof value) as never))
}

const integers = fc.oneof(
  fc.constantFrom(NaN, Infinity, -Infinity, -1, 0.5, -0.5, 2 ** 53, 2 ** 63, -1n, 2n ** 63n, 2n ** 64n),
  fc.integer({ max: -1 }),
  fc.bigInt({ max: -1n }),
  fc.bigInt({ min: 2n ** 63n }),
  fc.double({ noInteger: true }),
)

const wrong: [option: string, values: fc.Arbitrary<unknown>, error: typeof Error, code: string][] = [
  ...(['start', 'sinkStart', 'length'] as const).flatMap((name): typeof wrong => [
    [name, junk('number', 'bigint', 'undefined', 'null'), TypeError, 'ERR_INVALID_ARG_TYPE'],
    [name, integers, RangeError, 'ERR_OUT_OF_RANGE'],
  ]),
  ...['fallback', 'snapshot', 'end'].map((name): (typeof wrong)[number] => [
    name,
    junk('boolean', 'undefined'),
    TypeError,
    'ERR_INVALID_ARG_TYPE',
  ]),
  ['onProgress', junk('function', 'undefined'), TypeError, 'ERR_INVALID_ARG_TYPE'],
  [
    'signal',
    fc.oneof(junk('undefined'), fc.constantFrom({ aborted: false }, { aborted: true }, new EventTarget())),
    TypeError,
    'ERR_INVALID_ARG_TYPE',
  ],
  ['offset', junk(), TypeError, 'ERR_INVALID_ARG_VALUE'],
  ['sinkstart', junk(), TypeError, 'ERR_INVALID_ARG_VALUE'],
]

for (const [name, values, type, code] of wrong) {
  test(`a wrong ${name} is a ${type.name} that names it (${code})`, async (t) => {
    const [from, to] = [source(t, 100), sink(t)]
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const error = await failure(transfer(from, to, { [name]: value }))
        t.true(error instanceof type, `${String(error)} for ${fc.stringify(value)}`)
        t.is(error.code, code)
        t.true(error.message.includes(`"options.${name}"`), error.message)
        t.regex(error.message, /Received /)
      }),
      { numRuns: 60 },
    )
    t.is(fstatSync(to).size, 0)
    t.is(position(from), 0)
  })
}

test('options are an object', async (t) => {
  for (const options of [null, 1, 'start', () => 1, true, Symbol('x')]) {
    const error = await failure(transfer(source(t, 100), sink(t), options as TransferOptions))
    t.true(error instanceof TypeError)
    t.is(error.code, 'ERR_INVALID_ARG_TYPE')
    t.regex(error.message, /^The "options" argument must be an object\. Received /)
  }
})

test('a misspelt option is told the right ones', async (t) => {
  const error = await failure(transfer(source(t, 100), sink(t), { ofset: 1 } as TransferOptions))
  t.is(
    error.message,
    'The "options.ofset" argument is unknown; known are start, sinkStart, length, fallback, disable, snapshot, end, signal, onProgress. Received type number (1)',
  )
})

test('arguments are looked at before the ends, and all of them before anything happens', async (t) => {
  const error = await failure(transfer(-1, -1, { length: -1 }))
  t.regex(error.message, /"options\.length"/)
})

test('what is undefined, or a null offset, is absent', async (t) => {
  const absent = { start: null, sinkStart: null, length: null, end: undefined, signal: undefined } as never
  t.is((await transfer(source(t, 100), sink(t), absent)).bytes, 100)
  t.is((await transfer(source(t, 100), sink(t), undefined)).bytes, 100)
})

test('offsets and lengths reach from 0 to 2 ** 63 - 1, and come back as they were', (t) => {
  for (const value of [0, 1, 2 ** 53 - 1, 0n, 2n ** 53n, 2n ** 63n - 1n]) t.is(checkBytes('x', value), value)
  t.is(checkBytes('x', undefined), undefined)
  t.regex(thrown(() => checkBytes('x', 2 ** 53)).message, /must be a bigint beyond 2 \*\* 53 - 1/)
})

test('a range is that of fs.createReadStream', (t) => {
  t.deepEqual(checkRange(undefined, undefined), { start: 0, end: Infinity })
  t.deepEqual(checkRange(5, 5), { start: 5, end: 5 })
  t.deepEqual(checkRange(null, Infinity), { start: 0, end: Infinity })
  for (const [start, end, code] of [
    [6, 5, 'ERR_OUT_OF_RANGE'],
    [-1, undefined, 'ERR_OUT_OF_RANGE'],
    [0, 0.5, 'ERR_OUT_OF_RANGE'],
    [NaN, undefined, 'ERR_OUT_OF_RANGE'],
    [0n, undefined, 'ERR_INVALID_ARG_TYPE'],
    ['0', undefined, 'ERR_INVALID_ARG_TYPE'],
  ] as const) {
    t.is(thrown(() => checkRange(start, end)).code, code)
  }
})
