// Through a server: which file it is that answers.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serveStatic, type ServeStaticOptions } from 'zcio/http'
import { evict, pathFor, sha256 } from '../../helpers/files.js'
import { openDescriptors } from '../../helpers/processes.js'
import { application, ask, both, makeRoot, put } from '../../helpers/static-server.js'
import { until } from '../../helpers/wait.js'

const hash = (content: string): string => sha256(Buffer.from(content))

/** A server whose files are looked for on Node's thread pool, one component at a time. */
function walking(root: string, options?: ServeStaticOptions): ReturnType<typeof serveStatic> {
  process.env.ZCIO_OPENAT2 = 'off'
  try {
    return serveStatic(root, options)
  } finally {
    delete process.env.ZCIO_OPENAT2
  }
}

const ways = { 'by openat2': serveStatic, 'by a walk': walking }

/** A root with a script in two codings. */
function compressed(): string {
  const root = pathFor('compressed')
  for (const suffix of ['', '.br', '.gz']) put(root, `app.js${suffix}`, `app.js${suffix}`)
  put(root, 'index.html', 'index')
  put(root, 'index.html.gz', 'index, small')
  put(root, 'alone.txt.gz', 'without an original')
  put(root, 'plain.txt', 'plain')
  mkdirSync(join(root, 'plain.txt.br'))
  return root
}

for (const [way, serve] of Object.entries(ways)) {
  test(`${way} a compressed sibling goes to who accepts it`, async (t) => {
    const get = await ask(t, application(serve(compressed(), { precompressed: true })))
    const cases: [path: string, accept: string | undefined, encoding: string | undefined, content: string][] =
      [
        ['/app.js', 'gzip, br', 'br', 'app.js.br'],
        ['/app.js', 'gzip, zstd', 'gzip', 'app.js.gz'],
        ['/app.js', 'gzip, br;q=0.1', 'gzip', 'app.js.gz'],
        ['/app.js', 'zstd', undefined, 'app.js'],
        ['/app.js', 'gzip;q=0', undefined, 'app.js'],
        ['/app.js', undefined, undefined, 'app.js'],
        ['/', 'gzip, br', 'gzip', 'index, small'],
        ['/plain.txt', 'br, gzip', undefined, 'plain'],
      ]
    for (const [path, accept, encoding, content] of cases) {
      const answer = await get(path, 'GET', ...(accept === undefined ? [] : [`Accept-Encoding: ${accept}`]))
      t.is(answer.status, 200)
      t.is(answer.headers['content-encoding'], encoding, `${path} ${accept ?? ''}`)
      t.is(answer.headers.vary, 'Accept-Encoding')
      t.is(answer.hash, hash(content))
      t.is(
        answer.headers['content-type']?.startsWith('application/octet-stream'),
        false,
        'the type is of the original',
      )
    }
    t.is((await get('/alone.txt', 'GET', 'Accept-Encoding: gzip')).status, 404)
    const part = await get('/app.js', 'GET', 'Accept-Encoding: br', 'Range: bytes=7-')
    t.is(part.status, 206)
    t.is(part.hash, hash('br'))
    const etags = await Promise.all(
      ['br', 'gzip', 'identity'].map(async (accept) => {
        return (
          await (
            await ask(t, application(serve(compressed(), { precompressed: true })))
          )('/app.js', 'GET', `Accept-Encoding: ${accept}`)
        ).headers.etag
      }),
    )
    t.is(new Set(etags).size, 3)
  })

  test(`${way} what is no file is not there, and nothing waits for it`, async (t) => {
    const root = makeRoot()
    execFileSync('mkfifo', [join(root, 'waiting.txt')])
    const get = await ask(t, application(serve(root)))
    for (const path of ['/fifo.txt', '/waiting.txt']) t.is((await get(path)).status, 404)
    const server = (await import('node:net')).createServer().listen(join(root, 'socket'))
    t.teardown(() => server.close())
    t.is((await get('/socket')).status, 404)
    const devices = await ask(t, application(serve('/dev')))
    for (const path of ['/null', '/zero', '/tty']) t.is((await devices(path)).status, 404)
  })

  test(`${way} nothing outside the root is served, and links within are`, async (t) => {
    const get = await ask(t, application(serve(makeRoot())))
    for (const path of [
      '/outward.txt',
      '/outside/secret.txt',
      '/absolute.txt',
      '/dangling.txt',
      '/../secret.txt',
    ]) {
      t.true([403, 404].includes((await get(path)).status), path)
    }
    const file = await get('/file.txt')
    for (const path of ['/link.txt', '/dir/up.txt', '/linked/up.txt']) t.is((await get(path)).hash, file.hash)
    t.is((await get('/linked')).status, 301)
    t.is((await get('/loop.txt')).status, 500)
  })

  test(`${way} an index or an extension that leads up finds nothing outside the root`, async (t) => {
    const place = pathFor('leading-up')
    put(place, 'secret.txt', 'secret')
    put(place, 'root/dir/file.txt', 'public')
    put(place, 'root/a./file.txt', 'public')
    const root = join(place, 'root')
    for (const index of ['../secret.txt', '../../secret.txt', `${place}/secret.txt`]) {
      const get = await ask(t, application(serve(root, { index })))
      for (const path of ['/', '/dir/']) t.is((await get(path)).status, 404, `${path} ${index}`)
    }
    const extended = await ask(t, application(serve(root, { extensions: ['/../../secret.txt'] })))
    t.is((await extended('/a')).status, 404)
    const within = await ask(t, application(serve(root, { index: '../dir/file.txt' })))
    t.is((await within('/dir/')).hash, hash('public'))
  })

  test(`${way} a file whose whole path is too long for the kernel is served from its root`, async (t) => {
    const root = join(pathFor('deep'), ...Array.from({ length: 18 }, () => 'x'.repeat(219)))
    mkdirSync(root, { recursive: true })
    const name = `${'y'.repeat(200)}.txt`
    t.true(root.length < 4096 && root.length + name.length > 4096)
    execFileSync('sh', ['-c', 'printf deep > "$1"', 'sh', name], { cwd: root })
    t.teardown(() => execFileSync('rm', [name], { cwd: root }))
    const get = await ask(t, application(serve(root)))
    for (let i = 0; i < 2; i++) t.is((await get(`/${name}`)).hash, hash('deep'))
    t.is((await get('/other.txt')).status, 404)
  })

  test(`${way} a root that is replaced is seen by the next request`, async (t) => {
    const place = pathFor('deployments')
    put(place, '1/file.txt', 'one')
    put(place, '2/file.txt', 'two')
    put(place, '3/file.txt', 'three')
    const current = join(place, 'current')
    const turnTo = (target: string): void => {
      symlinkSync(target, join(place, 'next'))
      renameSync(join(place, 'next'), current)
    }
    const get = await ask(t, application(serve(current)))
    t.is((await get('/file.txt')).status, 404, 'not there yet')
    turnTo('1')
    t.is((await get('/file.txt')).hash, hash('one'))
    turnTo('2')
    t.is((await get('/file.txt')).hash, hash('two'))
    rmSync(join(place, '2'), { recursive: true })
    t.is((await get('/file.txt')).status, 404)
    renameSync(join(place, '3'), join(place, '2'))
    t.is((await get('/file.txt')).hash, hash('three'))
    rmSync(current)
    t.is((await get('/file.txt')).status, 404)
    renameSync(join(place, '2'), current)
    t.is((await get('/file.txt')).hash, hash('three'), 'a directory now')
    renameSync(current, join(place, '4'))
    turnTo('4')
    t.is((await get('/file.txt')).hash, hash('three'), 'a link again')
  })

  test(`${way} a file that is replaced is another file`, async (t) => {
    const root = pathFor('replaced')
    const path = put(root, 'file.txt', 'before')
    const get = await ask(t, application(serve(root)))
    const before = await get('/file.txt')
    writeFileSync(`${path}.new`, 'after!')
    renameSync(`${path}.new`, path)
    const after = await get('/file.txt', 'GET', `If-None-Match: ${before.headers.etag ?? ''}`)
    t.is(after.status, 200)
    t.is(after.hash, hash('after!'))
    writeFileSync(path, 'longer than before')
    t.is((await get('/file.txt')).hash, hash('longer than before'))
  })

  test(`${way} a link that is swapped in meanwhile leads nowhere`, async (t) => {
    const place = pathFor('swapped')
    put(place, 'root/dir/file.txt', 'public')
    put(place, 'dir/file.txt', 'secret')
    const [dir, link, aside] = ['dir', 'link', 'aside'].map((name) => join(place, 'root', name)) as [
      string,
      string,
      string,
    ]
    symlinkSync('../dir', link)
    const get = await ask(t, application(serve(join(place, 'root'))))
    const seen = new Set<number>()
    for (let i = 0; i < 200; i++) {
      renameSync(dir, aside)
      const during = get('/dir/file.txt')
      renameSync(link, dir)
      const answers = [await during, await get('/dir/file.txt')]
      renameSync(dir, link)
      renameSync(aside, dir)
      answers.push(await get('/dir/file.txt'))
      for (const answer of answers) {
        seen.add(answer.status)
        if (answer.status === 200) t.is(answer.hash, hash('public'))
        else t.is(answer.status, 404)
      }
    }
    t.deepEqual([...seen].sort(), [200, 404])
  })
}

test('a walk answers as serve-static does', async (t) => {
  const root = makeRoot()
  const compare = await both(t, root, { extensions: ['html'] }, undefined, walking)
  const paths = [
    '/',
    '/file.txt',
    '/large.bin',
    '/huge.bin',
    '/page',
    '/dir',
    '/dir/',
    '/linked/file.json',
    '/missing',
    '/file.txt/',
  ]
  for (const path of paths) {
    for (const headers of [[], ['Range: bytes=1-9'], ['Range: bytes=20000-'], ['If-None-Match: *']]) {
      const { ours, theirs } = await compare(path, 'GET', ...headers)
      t.deepEqual(ours, theirs, [path, ...headers].join(' '))
    }
  }
})

test('files that are not in memory are answered like any other', async (t) => {
  const root = makeRoot()
  const compare = await both(t, root)
  for (const name of ['file.txt', 'large.bin', 'huge.bin']) {
    for (const headers of [[], ['Range: bytes=1-9'], ['Range: bytes=3000-']]) {
      evict(join(root, name))
      const { ours, theirs } = await compare(`/${name}`, 'GET', ...headers)
      t.deepEqual(ours, theirs, [name, ...headers].join(' '))
    }
  }
})

test('whatever is asked for, no file stays open', async (t) => {
  const root = makeRoot()
  put(root, 'file.txt.gz', 'small')
  for (const serve of Object.values(ways)) {
    const get = await ask(t, application(serve(root, { precompressed: true, extensions: ['html'] })))
    for (const path of [
      '/',
      '/file.txt',
      '/large.bin',
      '/huge.bin',
      '/dir',
      '/missing',
      '/page',
      '/fifo.txt',
      '/loop.txt',
    ]) {
      for (const headers of [
        [],
        ['Range: bytes=1-9'],
        ['Range: bytes=9999999-'],
        ['If-None-Match: *'],
        ['If-Match: "x"'],
      ]) {
        for (const method of ['GET', 'HEAD']) await get(path, method, 'Accept-Encoding: br, gzip', ...headers)
      }
    }
  }
  await until('all files to be closed', () => !openDescriptors().some((path) => path.startsWith(root)))
  t.pass()
})

test.serial('without descriptors it is an error, not a missing file', async (t) => {
  const root = makeRoot()
  const get = await ask(t, application(serveStatic(root)))
  t.is((await get('/file.txt')).status, 200)
  const held: number[] = []
  try {
    for (;;) held.push(openSync('/dev/null', 'r'))
  } catch (error) {
    t.is((error as NodeJS.ErrnoException).code, 'EMFILE')
  }
  const answer = get('/file.txt')
  const { status } = await answer.finally(() => {
    for (const fd of held) closeSync(fd)
  })
  t.is(status, 500)
  t.is((await get('/file.txt')).status, 200)
})
