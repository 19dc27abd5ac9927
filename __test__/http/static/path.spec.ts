import test from 'ava'
import fc from 'fast-check'
import type { Plan } from '#src/http/static/candidate.js'
import { checkSettings } from '#src/http/static/options.js'
import { plan, sibling } from '#src/http/static/path.js'

const settings = checkSettings('.', { extensions: ['html', 'htm'] })

function tried(pathname: string, options = settings): string[] | number {
  const wanted = plan(pathname, options)
  return typeof wanted === 'number' ? wanted : wanted.candidates.map(({ path }) => path)
}

test('a path without an extension is tried as it is, then with each', (t) => {
  t.deepEqual(tried('/a/b'), ['a/b', 'a/b.html', 'a/b.htm'])
  t.deepEqual(tried('/a/b.txt'), ['a/b.txt'])
  t.deepEqual(tried('/a%20b'), ['a b', 'a b.html', 'a b.htm'])
  t.deepEqual(tried(''), ['.'])
})

test('a path that ends with a slash is tried with each index', (t) => {
  t.deepEqual(tried('/'), ['index.html'])
  t.deepEqual(tried('/a/', checkSettings('.', { index: ['x', 'y/z'] })), ['a/x', 'a/y/z'])
  t.deepEqual(tried('/a/', checkSettings('.', { index: false })), ['a/'])
})

test('what is malformed or hidden is refused before any file is asked for', (t) => {
  t.is(tried('/%'), 400)
  t.is(tried('/%00'), 400)
  t.is(tried('/..'), 403)
  t.is(tried('/a/../../b'), 403)
  t.is(tried('/..%5cb'), 403)
  t.is(tried('/.a'), 404)
  t.is(tried('/.a', checkSettings('.', { dotfiles: 'deny' })), 403)
  t.deepEqual(tried('/.a', checkSettings('.', { dotfiles: 'allow' })), ['.a'])
})

test('only a path that does not lead up may be opened without its root', (t) => {
  const straight = (pathname: string, index: string[]): (string | undefined)[] => {
    const wanted = plan(pathname, checkSettings('/root', { index, extensions: ['html'] })) as Plan
    return wanted.candidates.map((candidate) => candidate.straight)
  }
  t.deepEqual(straight('/a/b', []), ['/root/a/b', '/root/a/b.html'])
  t.deepEqual(straight('/a../', ['x', '../x', 'y/../../../x', '..x']), [
    '/root/a../x',
    '/root/x',
    undefined,
    '/root/a../..x',
  ])
})

test('whatever is asked for, no candidate leads up, is absolute or hidden', (t) => {
  const piece = fc.oneof(
    fc.constantFrom('..', '.', '', '%2e', '%2f', '%2e%2e', '%5c', 'a', '.b', '%252e'),
    fc.string(),
  )
  const property = fc.property(fc.array(piece), (pieces) => {
    const wanted = tried(`/${pieces.join('/')}`)
    if (typeof wanted === 'number') return
    for (const path of wanted) t.notRegex(path, /^\/|(^|\/)\.[^/]|\0/)
  })
  fc.assert(property, { numRuns: 2000 })
})

test('a compressed sibling has the type of its original, and is made once', (t) => {
  const [original] = (plan('/app.js', settings) as Plan).candidates
  if (original === undefined) throw new Error('there is a candidate')
  for (const [encoding, path] of [
    ['br', 'app.js.br'],
    ['zstd', 'app.js.zst'],
    ['gzip', 'app.js.gz'],
  ] as const) {
    const found = sibling(original, encoding)
    t.like(found, { path, encoding, original: 'app.js', type: 'text/javascript; charset=utf-8' })
    t.is(sibling(original, encoding), found)
  }
})
