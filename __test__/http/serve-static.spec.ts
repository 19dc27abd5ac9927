// What serve-static answers is the specification: the same requests to both, and what is meant to differ, as data.

import test from 'ava'
import fc from 'fast-check'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { ServeStaticOptions } from 'zcio/http'
import { both, makeRoot, type Middleware } from '../helpers/static-server.js'

const root = makeRoot()

/** Where ours differs on purpose, and why. */
const different: Record<string, { ours: number; why: string }> = {
  '/outward.txt': { ours: 404, why: 'a symbolic link may not leave the root' },
  '/outside/secret.txt': { ours: 404, why: 'a symbolic link may not leave the root' },
  '/outside/root/file.txt': { ours: 404, why: 'not even to come back' },
  '/outside': { ours: 404, why: 'a symbolic link may not leave the root' },
  '/absolute.txt': {
    ours: 404,
    why: 'an absolute symbolic link leaves the root, wherever it leads',
  },
}

const paths = [
  ...['/', '', '/index.html', '/file.txt', '/large.bin', '/huge.bin', '/empty.txt', '/no-extension', '/page'],
  ...[
    '/page.html',
    '/both',
    '/file.txt/',
    '/file.txt/x',
    '/missing',
    '/missing.txt',
    '/missing/',
    '/missing/x.txt',
  ],
  ...[
    '/.hidden',
    '/.well-known/file.txt',
    '/dir/.secret.txt',
    '/.',
    '/./',
    '/./file.txt',
    '/...',
    '/file..txt',
  ],
  ...[
    '/dir',
    '/dir/',
    '/dir//',
    '/dir/index.html',
    '/dir/file.json',
    '/bare',
    '/bare/',
    '/bare/file.css',
    '/dir.d',
  ],
  ...['/dir.d/', '/dir.d/file.weird', '/nested', '/nested/', '/nested/index.html', '/nested/index.html/'],
  ...[
    '/a%20b.txt',
    '/gr%C3%BC%C3%9Fe.txt',
    '/100%25.txt',
    '/100%.txt',
    '/%66ile.txt',
    '/%2566ile.txt',
    '/a+b.txt',
  ],
  ...[
    '/..',
    '/../',
    '/../secret.txt',
    '/../../etc/passwd',
    '/dir/../file.txt',
    '/dir/../../secret.txt',
    '/dir/..',
  ],
  ...[
    '/%2e%2e/secret.txt',
    '/%2e%2e%2fsecret.txt',
    '/..%2fsecret.txt',
    '/dir/%2e%2e/file.txt',
    '/%252e%252e/secret.txt',
  ],
  ...[
    '/..%5csecret.txt',
    '/back%5cslash.txt',
    '/dir%5c..%5cfile.txt',
    '/..%c0%af',
    '/%c0%ae%c0%ae/secret.txt',
    '/%',
  ],
  ...[
    '/%zz',
    '/%ff',
    '/%00',
    '/file.txt%00',
    '/file.txt%00.html',
    '/%2e%2e%00/',
    '//',
    '//file.txt',
    '//dir',
    '///dir',
  ],
  ...[
    '//example.com/..',
    '/dir%2f',
    '/dir%2ffile.json',
    '/%2fetc%2fpasswd',
    '/root-evil/../file.txt',
    '/%2e',
    '/%2e/',
  ],
  ...[
    '/file.txt?x=1',
    '/dir?x=1&y=<b>',
    '/file.txt#x',
    '/dir;x',
    "/dir'",
    '/?/../..',
    '/file.txt%3Fx',
    '/file.txt%23',
  ],
  ...['http://localhost/file.txt', 'http://localhost/dir', 'http://localhost', '*', `/${'a'.repeat(300)}`],
  ...[
    `/${'a/'.repeat(3000)}`,
    `/${'../'.repeat(50)}etc/passwd`,
    `/${'./'.repeat(500)}file.txt`,
    '/~root',
    '/C:/x',
    '/nul',
  ],
  ...[
    '/link.txt',
    '/linked',
    '/linked/',
    '/linked/file.json',
    '/linked/../file.txt',
    '/dir/up.txt',
    '/dangling.txt',
  ],
  ...['/loop.txt', '/loop.txt/x', '/constructor', '/__proto__', '/hasOwnProperty', '/toString/'],
]

const optionSets: Record<string, ServeStaticOptions> = {
  'no options': {},
  'fallthrough: false': { fallthrough: false },
  "dotfiles: 'allow'": { dotfiles: 'allow', fallthrough: false },
  "dotfiles: 'deny'": { dotfiles: 'deny', fallthrough: false },
  'index: false': { index: false, fallthrough: false },
  'two indexes': { index: ['file.json', 'index.html'] },
  'redirect: false': { redirect: false, fallthrough: false },
  extensions: { extensions: ['htm', 'html'], fallthrough: false },
  'no headers': { etag: false, lastModified: false, cacheControl: false, acceptRanges: false },
  'maxAge and immutable': { maxAge: '1d', immutable: true },
  'maxAge beyond a year': { maxAge: 1e15 },
  setHeaders: {
    setHeaders: (res, path, stat) => {
      res.setHeader('X-Path', path.slice(root.length)).setHeader('X-Size', stat.size)
      res.setHeader('X-Time', stat.mtime.getTime()).setHeader('Cache-Control', 'no-store')
    },
  },
  'setHeaders that says it all': {
    setHeaders: (res) => {
      res.setHeader('ETag', '"mine"').setHeader('Last-Modified', new Date(0).toUTCString())
      res.setHeader('Content-Type', 'x/y').setHeader('Accept-Ranges', 'none')
    },
  },
}

for (const [name, options] of Object.entries(optionSets)) {
  test(`with ${name} every path is answered as by serve-static`, async (t) => {
    const compare = await both(t, root, options)
    for (const path of [...paths, ...Object.keys(different)]) {
      for (const method of ['GET', 'HEAD']) {
        const { ours, theirs } = await compare(path, method)
        const intended = different[path]
        if (intended === undefined) t.deepEqual(ours, theirs, `${method} ${path}`)
        else t.is(ours.status, intended.ours, `${path}: ${intended.why}`)
      }
    }
  })
}

test('other methods are answered as by serve-static', async (t) => {
  for (const fallthrough of [true, false]) {
    const compare = await both(t, root, { fallthrough })
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
      const { ours, theirs } = await compare('/file.txt', method)
      t.deepEqual(ours, theirs, method)
    }
  }
})

const { size, mtime } = statSync(join(root, 'file.txt'))
const etag = `W/"${size.toString(16)}-${mtime.getTime().toString(16)}"`
const dates = [-86_400_000, -1000, 0, 1000, 86_400_000].map((ms) =>
  new Date(mtime.getTime() + ms).toUTCString(),
)
const tags = [
  etag,
  etag.slice(2),
  '"other"',
  `"other", ${etag}`,
  `"a",${etag.slice(2)} ,"b"`,
  '*',
  '',
  'rubbish',
  ',',
]
const ranges = [
  ...[
    'bytes=0-0',
    'bytes=0-',
    'bytes=-1',
    'bytes=-0',
    'bytes=1-9',
    'bytes=0-99999',
    'bytes=4096-',
    'bytes=4097-',
  ],
  ...[
    'bytes=9-1',
    'bytes=-99999',
    'bytes=0-1,3-4',
    'bytes=0-1,1-4',
    'bytes=0-1,2-4',
    'bytes=99999-,0-1',
    ' bytes=0-1',
  ],
  ...[
    'bytes=',
    'bytes=-',
    'bytes=x-y',
    'bytes=1',
    'bytes 0-1',
    'octets=0-1',
    'Bytes=0-1',
    'bytes=0-1;',
    'bytes=0 - 1',
  ],
  ...[
    'bytes=0x1-2',
    'bytes=1e2-',
    'bytes=+1-2',
    'bytes=18446744073709551615-',
    'bytes=-18446744073709551616',
  ],
]
const conditions = [
  ...tags.flatMap((tag) => [`If-None-Match: ${tag}`, `If-Match: ${tag}`]),
  ...[...dates, '', 'rubbish', '0'].flatMap((date) => [
    `If-Modified-Since: ${date}`,
    `If-Unmodified-Since: ${date}`,
  ]),
]
const ifRanges = [...tags, ...dates].map((value) => `If-Range: ${value}`)

test('every range is answered as by serve-static', async (t) => {
  const compare = await both(t, root)
  for (const path of ['/file.txt', '/empty.txt', '/large.bin', '/huge.bin', '/missing', '/dir/']) {
    for (const range of ranges) {
      for (const method of ['GET', 'HEAD']) {
        const { ours, theirs } = await compare(path, method, `Range: ${range}`)
        t.deepEqual(ours, theirs, `${method} ${path} ${range}`)
      }
    }
  }
  const without = await both(t, root, { acceptRanges: false })
  const { ours, theirs } = await without('/file.txt', 'GET', 'Range: bytes=0-1')
  t.deepEqual(ours, theirs)
  t.is(ours.status, 200)
})

test('every condition is answered as by serve-static', async (t) => {
  const compare = await both(t, root)
  for (const condition of conditions) {
    for (const extra of [[], ['Cache-Control: no-cache'], ['Range: bytes=0-1']]) {
      const { ours, theirs } = await compare('/file.txt', 'GET', condition, ...extra)
      t.deepEqual(ours, theirs, [condition, ...extra].join(' + '))
    }
  }
  for (const ifRange of ifRanges) {
    const { ours, theirs } = await compare('/file.txt', 'GET', ifRange, 'Range: bytes=0-9')
    t.deepEqual(ours, theirs, ifRange)
  }
})

const befores: Record<string, Middleware> = {
  'set headers': (_, res, next) => {
    res.setHeader('X-Before', '1').setHeader('Cache-Control', 'private').setHeader('Content-Language', 'en')
    res.setHeader('Content-Length', 3).setHeader('Vary', 'Origin')
    next()
  },
  'set a status': (_, res, next) => {
    res.statusCode = 404
    next()
  },
  'sent the head': (_, res, next) => {
    res.writeHead(200, { 'Content-Type': 'text/plain' }).flushHeaders()
    next()
  },
  'rewritten the path': (req, _, next) => {
    Object.assign(req, { originalUrl: `/mount${req.url ?? ''}` })
    next()
  },
  'mounted it': (req, _, next) => {
    Object.assign(req, { originalUrl: '/mount', url: '/' })
    next()
  },
  'corked the response': (_, res, next) => {
    res.cork()
    process.nextTick(() => {
      res.uncork()
    })
    next()
  },
}

for (const [what, before] of Object.entries(befores)) {
  test(`behind a middleware that has ${what} the answers are those of serve-static`, async (t) => {
    const compare = await both(t, root, {}, before)
    // serve-static throws where nobody can catch it when it is to redirect after the head has been sent.
    const others = what === 'sent the head' ? [] : ['/dir']
    for (const path of ['/file.txt', '/huge.bin', '/missing', ...others]) {
      for (const headers of [
        [],
        ['Range: bytes=0-9'],
        ['Range: bytes=9999999-'],
        [`If-None-Match: ${etag}`],
        ['If-Match: "x"'],
      ]) {
        const { ours, theirs } = await compare(path, 'GET', ...headers)
        // Of a response whose head has been sent nothing else can be compared: both destroy it.
        if (what === 'sent the head')
          t.deepEqual([ours.status, ours.complete], [theirs.status, theirs.complete])
        else t.deepEqual(ours, theirs, [path, ...headers].join(' '))
      }
    }
  })
}

test('any request is answered as by serve-static', async (t) => {
  const piece = fc.constantFrom(
    ...[
      'dir',
      'file.txt',
      'index.html',
      'bare',
      'linked',
      'page',
      '.hidden',
      '..',
      '.',
      '',
      'missing',
      'huge.bin',
    ],
    ...[
      '%2e%2e',
      '%2e',
      '%2f',
      '%5c',
      '%00',
      '%',
      '%c3%bc',
      '%25',
      'a%20b.txt',
      'gr%C3%BC%C3%9Fe.txt',
      'x'.repeat(256),
    ],
  )
  const header = fc.oneof(
    fc.constantFrom(...ranges).map((range) => `Range: ${range}`),
    fc.tuple(fc.nat(5000), fc.nat(5000)).map(([from, to]) => `Range: bytes=${from}-${to}`),
    fc.constantFrom(...conditions, ...ifRanges),
  )
  const request = fc.record({
    path: fc.array(piece, { maxLength: 5 }).map((pieces) => `/${pieces.join('/')}`),
    query: fc.constantFrom('', '?', '?a=/../b'),
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST'),
    headers: fc.array(header, { maxLength: 3 }),
    options: fc.constantFrom(...Object.keys(optionSets)),
  })
  const known = new Map<string, ReturnType<typeof both>>()
  const property = fc.asyncProperty(request, async ({ path, query, method, headers, options }) => {
    const compare = known.get(options) ?? both(t, root, optionSets[options])
    known.set(options, compare)
    const { ours, theirs } = await (await compare)(path + query, method, ...headers)
    t.deepEqual(ours, theirs)
  })
  await fc.assert(property, { numRuns: 500 })
})
