import test from 'ava'
import { spawn, type StdioOptions } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Tally } from '#src/piping/tally.js'
import { LARGE } from '../fixtures/piping/scene.js'
import { makeFile, pathFor, sha256 } from '../helpers/files.js'
import { within } from '../helpers/wait.js'

const file = makeFile(LARGE)

/** Ways to join the two, with zcio/register or by zcio's own pipeline. */
const joins: Record<string, { options: string[]; module: string }> = {
  pipe: { options: ['--import', 'zcio/register'], module: 'process.stdin.pipe(process.stdout)' },
  pipeline: {
    options: [],
    module: `
      import { pipeline } from 'zcio'
      await pipeline(process.stdin, process.stdout)
      const { tally } = await import('#src/piping/tally.js')
      process.stderr.write('zcio: ' + JSON.stringify({ piped: tally() }))`,
  },
}

interface Ran {
  stdout: Buffer
  stderr: string
  code: number | null
}

type Stdin = 'pipe' | 'file'
type Stdout = 'pipe' | 'file'

/** A process that copies its stdin, which is the file, to its stdout. */
async function run(name: string, stdin: Stdin, stdout: Stdout): Promise<Ran & { piped: Tally }> {
  const { options, module } = joins[name] ?? { options: [], module: '' }
  const path = pathFor('stdout')
  const descriptors = [openSync(file.path, 'r'), openSync(path, 'w')] as const
  const stdio: StdioOptions = [
    stdin === 'file' ? descriptors[0] : 'pipe',
    stdout === 'file' ? descriptors[1] : 'pipe',
    'pipe',
  ]
  const child = spawn(process.execPath, [...options, '--input-type=module', '--eval', module], {
    stdio,
    env: { ...process.env, ZCIO_STATS: '1' },
  })
  for (const fd of descriptors) closeSync(fd)
  child.stdin?.end(file.bytes)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const closed = once(child, 'close') as Promise<[number | null]>
  const stderr = child.stderr === null ? '' : await within('stderr', text(child.stderr))
  const [code] = await within('the child', closed)
  const stats = /^zcio: (\{.*\})$/m.exec(stderr)?.[1] ?? '{}'
  const { piped } = JSON.parse(stats) as { piped: Tally }
  return { code, stderr, piped, stdout: stdout === 'file' ? readFileSync(path) : Buffer.concat(chunks) }
}

for (const name of Object.keys(joins)) {
  for (const [stdin, stdout] of [
    ['pipe', 'pipe'],
    ['file', 'pipe'],
    ['pipe', 'file'],
    ['file', 'file'],
  ] as const) {
    test(`process.stdin, a ${stdin}, goes to process.stdout, a ${stdout}, by ${name}`, async (t) => {
      const { code, stdout: came, stderr, piped } = await run(name, stdin, stdout)
      t.is(code, 0, stderr)
      t.is(sha256(came), sha256(file.bytes))
      // What writes to a file as stdout is a stream of its own kind, by synchronous calls.
      t.is(piped.runs > 0, stdout === 'pipe', JSON.stringify(piped))
    })
  }
}

test('a process ends when its stdin is paused, though more could come', async (t) => {
  const module = `
    import { createWriteStream } from 'node:fs'
    process.stdin.pipe(createWriteStream('${pathFor('some')}'))
    const timer = setInterval(() => {
      if (process.stdin.bytesRead < 1 << 20) return
      clearInterval(timer)
      process.stdin.unpipe()
      process.stdin.pause()
    }, 5)`
  const child = spawn(
    process.execPath,
    ['--import', 'zcio/register', '--input-type=module', '--eval', module],
    { stdio: ['pipe', 'inherit', 'inherit'] },
  )
  child.stdin.on('error', () => undefined)
  child.stdin.write(file.bytes.subarray(0, 2 << 20))
  const [code] = (await within('the process to end', once(child, 'close'))) as [number | null]
  t.is(code, 0)
})

test('stdin and stdout that are a socket', async (t) => {
  const server = createServer((socket) => {
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const child = spawn(
      process.execPath,
      ['--import', 'zcio/register', '--input-type=module', '--eval', joins.pipe?.module ?? ''],
      { stdio: [fd, fd, 'inherit'] },
    )
    child.once('spawn', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  client.end(file.bytes)
  await within('the end', once(client, 'close'))
  t.is(sha256(Buffer.concat(chunks)), sha256(file.bytes))
  server.close()
})
