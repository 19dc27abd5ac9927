import test from 'ava'
import { resolve } from 'node:path'
import { serveStatic } from 'zcio/http'
import { checkSettings } from '#src/http/static/options.js'
import { thrown } from '../../helpers/failures.js'

test('what is left out is as in serve-static', (t) => {
  t.like(checkSettings('x', undefined), {
    root: resolve('x'),
    acceptRanges: true,
    cacheControl: 'public, max-age=0',
    dotfiles: 'ignore',
    etag: true,
    extensions: [],
    fallthrough: true,
    index: ['index.html'],
    lastModified: true,
    encodings: [],
    redirect: true,
    setHeaders: undefined,
  })
})

test('a duration is a number of milliseconds or a string, and at most a year', (t) => {
  for (const [maxAge, seconds] of [
    [0, 0],
    [999, 0],
    [1000, 1],
    ['1d', 86_400],
    ['2 hours', 7200],
    ['1500', 1],
    [Infinity, 31_536_000],
    ['10y', 31_536_000],
  ] as const) {
    t.is(checkSettings('.', { maxAge }).cacheControl, `public, max-age=${seconds}`)
  }
  t.is(checkSettings('.', { maxAge: 1000, immutable: true }).cacheControl, 'public, max-age=1, immutable')
  t.is(checkSettings('.', { maxAge: 1000, cacheControl: false }).cacheControl, undefined)
})

test('names are one or many, or none', (t) => {
  t.deepEqual(checkSettings('.', { index: 'a', extensions: 'html' }).index, ['a'])
  t.deepEqual(checkSettings('.', { index: ['a', 'b'] }).index, ['a', 'b'])
  t.deepEqual(checkSettings('.', { index: false, extensions: false }), checkSettings('.', { index: [] }))
  t.deepEqual(checkSettings('.', { precompressed: true }).encodings, ['br', 'zstd', 'gzip'])
  t.deepEqual(checkSettings('.', { precompressed: ['gzip'] }).encodings, ['gzip'])
})

test('what makes no sense is told at once, with its name', (t) => {
  const wrong: [options: unknown, code: string, message: RegExp][] = [
    [{ maxAge: -1 }, 'ERR_OUT_OF_RANGE', /options\.maxAge/],
    [{ maxAge: NaN }, 'ERR_OUT_OF_RANGE', /options\.maxAge/],
    [{ maxAge: '-1d' }, 'ERR_OUT_OF_RANGE', /options\.maxAge/],
    [{ maxAge: 'soon' }, 'ERR_INVALID_ARG_VALUE', /options\.maxAge.*'1d'/],
    [{ maxAge: '' }, 'ERR_INVALID_ARG_VALUE', /options\.maxAge/],
    [{ maxAge: {} }, 'ERR_INVALID_ARG_TYPE', /options\.maxAge/],
    [{ maxage: 1 }, 'ERR_INVALID_ARG_VALUE', /options\.maxage.*maxAge/],
    [{ dotfiles: 'yes' }, 'ERR_INVALID_ARG_VALUE', /options\.dotfiles.*allow, deny, ignore/],
    [{ index: true }, 'ERR_INVALID_ARG_TYPE', /options\.index/],
    [{ index: [1] }, 'ERR_INVALID_ARG_TYPE', /options\.index/],
    [{ index: '' }, 'ERR_INVALID_ARG_VALUE', /options\.index/],
    [{ extensions: ['a\0'] }, 'ERR_INVALID_ARG_VALUE', /options\.extensions/],
    [{ precompressed: 'br' }, 'ERR_INVALID_ARG_TYPE', /options\.precompressed/],
    [{ precompressed: ['lz'] }, 'ERR_INVALID_ARG_VALUE', /options\.precompressed.*br, zstd, gzip/],
    [{ setHeaders: 1 }, 'ERR_INVALID_ARG_TYPE', /options\.setHeaders/],
    ...['acceptRanges', 'cacheControl', 'etag', 'fallthrough', 'immutable', 'lastModified', 'redirect'].map(
      (name): [unknown, string, RegExp] => [
        { [name]: 1 },
        'ERR_INVALID_ARG_TYPE',
        new RegExp(`options\\.${name}`),
      ],
    ),
    [null, 'ERR_INVALID_ARG_TYPE', /options/],
  ]
  for (const [options, code, message] of wrong) {
    const error = thrown(() => serveStatic('.', options as object))
    t.is(error.code, code, JSON.stringify(options))
    t.regex(error.message, message)
  }
  for (const [root, code] of [
    [undefined, 'ERR_INVALID_ARG_TYPE'],
    [Buffer.from('.'), 'ERR_INVALID_ARG_TYPE'],
    ['', 'ERR_INVALID_ARG_VALUE'],
    ['a\0', 'ERR_INVALID_ARG_VALUE'],
  ] as const) {
    const error = thrown(() => serveStatic(root as string))
    t.is(error.code, code)
    t.regex(error.message, /"root"/)
  }
})
