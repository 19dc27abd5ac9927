// Where there is no native half: importing works everywhere, and what cannot work says why.

import test from 'ava'
import { readFileSync } from 'node:fs'
import { binding, unavailable } from '#src/binding.js'
import { tell } from './helpers/children.js'
import { makeFile, pathFor, pattern, sha256 } from './helpers/files.js'

const bytes = pattern(100_000)
const file = makeFile(bytes)

/** Imports the package and tells how far one gets. */
const program = (sink: string): string => `
  const zcio = await import('zcio')
  const { respondWithFile, serveStatic } = await import('zcio/http')
  const { createReadStream, createWriteStream, openSync } = await import('node:fs')
  const { PassThrough } = await import('node:stream')
  const { buffer } = await import('node:stream/consumers')
  const fails = async (call) => { try { await call() } catch ({ code, message }) { return { code, message } } }
  const through = new PassThrough()
  const source = createReadStream(${JSON.stringify(file.path)})
  source.pause()
  const [result, arrived] = await Promise.all([zcio.transfer(source, through), buffer(through)])
  const copy = await zcio.transfer(
    createReadStream(${JSON.stringify(file.path)}), createWriteStream(${JSON.stringify(`${sink}.copy`)}))
  const { createServer } = await import('node:http')
  const server = createServer((req, res) => respondWithFile(res, ${JSON.stringify(file.path)}, { start: 1 }))
  await new Promise((resolve) => server.listen(${JSON.stringify(`${sink}.socket`)}, resolve))
  const { get } = await import('node:http')
  const body = await new Promise((resolve) => get({ socketPath: ${JSON.stringify(`${sink}.socket`)} }, (res) => resolve(buffer(res))))
  server.close()
  console.log(JSON.stringify({
    copy: [copy.mechanism, copy.fallbacks[0]?.code],
    body: body.toString('base64'),
    serving: await fails(() => serveStatic('.')),
    isSupported: zcio.isSupported(),
    reason: zcio.capabilities().reason,
    calls: Object.keys(zcio.capabilities().calls).length,
    http: typeof respondWithFile,
    streams: [result.mechanism, result.bytes, arrived.length],
    pipe: await fails(() => new zcio.Pipe()),
    pages: await fails(() => zcio.allocPages(1)),
    primitive: await fails(() => zcio.sendfileSync(0, 0, 0, 1)),
    argument: await fails(() => zcio.sendfileSync(-1, 0, 0, 1)),
    files: await fails(() => zcio.transfer(openSync(${JSON.stringify(file.path)}), openSync(${JSON.stringify(sink)}, 'w'))),
  }))`

interface Told {
  isSupported: boolean
  reason?: string
  calls: number
  http: string
  streams: unknown[]
  copy: [mechanism: string, code?: string]
  body: string
  serving?: { code: string; message: string }
  pipe?: { code: string; message: string }
  pages?: { code: string; message: string }
  primitive?: { code: string; message: string }
  argument?: { code: string; message: string }
  files?: { code: string; message: string }
}

const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'
const network = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []
const readable = [permission, '--allow-fs-read=*', '--allow-fs-write=*', ...network, '--no-warnings']

const places: [what: string, reason: RegExp, options: Parameters<typeof tell>[1], prepare?: string][] = [
  [
    'off Linux',
    /^it needs Linux, and this is darwin$/,
    {},
    "Object.defineProperty(process, 'platform', { value: 'darwin' })\n",
  ],
  [
    'without a binary for the platform',
    /^no binary for this platform \(linux \w+\) could be loaded$/,
    { before: 'export NAPI_RS_NATIVE_LIBRARY_PATH=/nowhere/at/all.node' },
  ],
  ['under --no-addons', /^--no-addons forbids native addons$/, { options: ['--no-addons'] }],
  [
    'under --permission',
    /^--permission forbids native addons; --allow-addons permits them, /,
    { options: readable },
  ],
]

for (const [what, reason, options, prepare = ''] of places) {
  test(`${what}, importing works, streams move what they can, and the rest says why not`, async (t) => {
    const sink = pathFor('sink')
    const told = (await tell(prepare + program(sink), options)) as Told
    t.like(told, {
      isSupported: false,
      calls: 0,
      http: 'function',
      streams: ['stream', bytes.length, bytes.length],
      copy: ['stream', 'UNSUPPORTED'],
    })
    t.is(sha256(readFileSync(`${sink}.copy`)), sha256(bytes))
    t.is(sha256(Buffer.from(told.body, 'base64')), sha256(bytes.subarray(1)))
    t.regex(told.reason ?? '', reason)
    for (const name of ['pipe', 'pages', 'primitive', 'files', 'serving'] as const) {
      t.is(told[name]?.code, 'ERR_ZCIO_UNSUPPORTED', name)
      t.is(told[name]?.message, `zcio does not work here: ${String(told.reason)}`)
    }
    t.is(told.argument?.code, 'ERR_OUT_OF_RANGE', 'arguments are wrong everywhere')
    t.is(readFileSync(sink).length, 0)
  })
}

test('with --allow-addons it works under --permission', async (t) => {
  const sink = pathFor('sink')
  const told = (await tell(program(sink), { options: [...readable, '--allow-addons'] })) as Told
  t.like(told, { isSupported: true, reason: undefined, files: undefined })
  t.is(sha256(readFileSync(sink)), sha256(bytes))
})

test('it is loaded when it is first needed, once', async (t) => {
  const told = await tell(`
    import { transfer, isSupported } from 'zcio'
    import { readFileSync } from 'node:fs'
    const loaded = () => readFileSync('/proc/self/maps', 'utf8').includes('zcio.')
    const before = loaded()
    console.log(JSON.stringify([before, isSupported(), loaded()]))`)
  t.deepEqual(told, [false, true, true])
  t.is(unavailable(), undefined)
  t.is(binding(), binding())
})
