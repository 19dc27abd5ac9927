import test from 'ava'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Tally } from '#src/piping/tally.js'
import { FIRST, LARGE } from '../fixtures/piping/scene.js'
import { run as runModule } from '../helpers/children.js'
import { makeFile } from '../helpers/files.js'

const application = fileURLToPath(new URL('../fixtures/piping/application.ts', import.meta.url))
const { path } = makeFile(LARGE)

/** What Node.js needs for an application in TypeScript; with loaders 22 cannot `require` a module of ours. */
const typescript =
  'typescript' in process.features && process.features.typescript !== false
    ? []
    : ['--import', '@oxc-node/core/register']

/** What an application told, and what zcio did when it ended. */
interface Told {
  length?: number
  code?: number
  stats: Partial<Tally> | undefined
}

/** Runs an application, here or in another place of its process. */
async function run(
  place = 'here',
  {
    options = ['--import', 'zcio/register'],
    env = {},
    relayed = [],
  }: { options?: string[]; env?: NodeJS.ProcessEnv; relayed?: ['relayed'] | [] } = {},
): Promise<Told> {
  const args = [...typescript, ...options, application, place, path, String(LARGE), ...relayed]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, ZCIO_STATS: '1', ...env },
    timeout: 60_000,
  })
  const all = [...stderr.matchAll(/^zcio: (.*)$/gm)].map(
    ([, stats = '']) => (JSON.parse(stats) as { piped: Tally }).piped,
  )
  // A thread or process that only started another has none.
  return { ...(JSON.parse(stdout) as Told), stats: all.find(({ runs }) => runs > 0) ?? all[0] }
}

const whole = { runs: 1, bytes: LARGE - FIRST }

test('--import zcio/register makes an application zero-copy, and ZCIO_STATS=1 tells so at exit', async (t) => {
  t.like(await run(), { length: LARGE, stats: whole })
})

test('without it an application is as it was', async (t) => {
  t.deepEqual(await run('here', { options: [] }), { length: LARGE, stats: undefined })
})

test('without ZCIO_STATS it prints nothing', async (t) => {
  t.deepEqual(await run('here', { env: { ZCIO_STATS: '' } }), { length: LARGE, stats: undefined })
})

test("require('zcio/register') does the same", async (t) => {
  t.like(await run('here', { options: ['--require', 'zcio/register'] }), { length: LARGE, stats: whole })
})

test('registered twice it moves bytes once', async (t) => {
  const options = ['--import', 'zcio/register', '--import', 'zcio/register']
  t.like(await run('here', { options }), { length: LARGE, stats: whole })
})

for (const place of ['worker', 'cluster']) {
  test(`it is there in a ${place} too`, async (t) => {
    t.like(await run(place), { length: LARGE, stats: whole })
  })
}

for (const [place, options] of [
  ['here', ['--import', 'zcio/register']],
  ['here', ['--require', 'zcio/register']],
  ['worker', ['--import', 'zcio/register']],
  ['cluster', ['--import', 'zcio/register']],
] as const) {
  test(`${options[0]}: a relay of sockets is zero-copy: ${place}`, async (t) => {
    const { length, stats } = await run(place, { options: [...options], relayed: ['relayed'] })
    t.is(length, LARGE)
    // The file to the response, and that through the relay.
    t.is(stats?.runs, 2)
    t.true((stats?.bytes ?? 0) > 1.9 * LARGE)
  })
}

test('a worker can be terminated while the kernel moves its bytes', async (t) => {
  t.is((await run('terminated')).code, 1)
})

test('ZCIO=off leaves Node alone', async (t) => {
  const { length, stats } = await run('here', { env: { ZCIO: 'off' } })
  t.is(length, LARGE)
  t.like(stats, { runs: 0, bytes: 0, aside: {} })
})

test('where addons are forbidden Node reads: UNSUPPORTED', async (t) => {
  const module = `
    import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
    import { pipeline } from 'node:stream/promises'
    await pipeline(createReadStream('${path}'), createWriteStream('${path}.copy'))
    console.log(readFileSync('${path}').equals(readFileSync('${path}.copy')))`
  const options = ['--no-addons', '--import', 'zcio/register']
  const { stdout, stderr } = await runModule(module, { before: 'export ZCIO_STATS=1', options })
  t.is(stdout, 'true\n')
  t.regex(stderr, /^zcio: .*"piped":\{"runs":0,"bytes":0,"aside":\{"FIRST":1,"UNSUPPORTED":\d+\}\}\}$/m)
})

test('what an agent has wrapped before is Node’s to write: WRAPPED', async (t) => {
  const agent = `
    import { ServerResponse } from 'node:http'
    globalThis.seen = 0
    const { write } = ServerResponse.prototype
    ServerResponse.prototype.write = function (chunk, ...rest) {
      seen += chunk.length
      return write.call(this, chunk, ...rest)
    }`
  const module = `
    import { createReadStream } from 'node:fs'
    import { createServer } from 'node:http'
    import { once } from 'node:events'
    const server = createServer((_, res) => {
      res.setHeader('Content-Length', ${LARGE})
      createReadStream('${path}').pipe(res)
    }).listen(0)
    await once(server, 'listening')
    const response = await fetch('http://127.0.0.1:' + server.address().port)
    const { byteLength } = await response.arrayBuffer()
    console.log(byteLength, seen)
    process.exit()`
  const before = `data:text/javascript,${encodeURIComponent(agent)}`
  const options = ['--import', before, '--import', 'zcio/register']
  const { stdout, stderr } = await runModule(module, { before: 'export ZCIO_STATS=1', options })
  t.is(stdout, `${LARGE} ${LARGE}\n`)
  t.regex(stderr, /"piped":\{"runs":0,.*"WRAPPED":/)
})
