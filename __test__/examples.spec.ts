// The programs in examples/, run as their users run them.

import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { Pipe } from 'zcio'

const run = promisify(execFile)

/** More than a pipe holds by far, and no multiple of anything. */
const LARGE = 3_000_001

const example = (name: string): string[] => [
  process.execPath,
  '--import',
  '@oxc-node/core/register',
  `examples/${name}.ts`,
]

interface Files {
  source: string
  sink: string
  output: string
  /** Another file in the same place. */
  path: (name: string) => string
}

/** A directory for one test, with a source of so many bytes in it. */
function files(t: ExecutionContext, size: number): Files {
  const directory = mkdtempSync(join(tmpdir(), 'zcio-examples-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const path = (name: string): string => join(directory, name)
  writeFileSync(path('source'), randomBytes(size))
  return { source: path('source'), sink: path('sink'), output: path('output'), path }
}

function sha256(bytes: Buffer | string): string {
  const content = typeof bytes === 'string' ? readFileSync(bytes) : bytes
  return createHash('sha256').update(content).digest('hex')
}

/** Runs an example with these arguments; rejects where it fails. */
function execute(name: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const [node = '', ...rest] = example(name)
  return run(node, [...rest, ...args])
}

/**
 * Runs `PRODUCER | tee sink | CONSUMER` in a shell, where `$source` and `$output` are files; what the example says
 * and the code it ends with are returned.
 */
async function pipeThroughTee(
  { source, sink, output, path }: Files,
  producer: string,
  consumer: string,
): Promise<{ code: number; stderr: string }> {
  const script = `{ ${producer}; } | { "$@" 2> "$stderr"; echo $? > "$code"; } | { ${consumer}; }`
  const env = { ...process.env, source, output, stderr: path('stderr'), code: path('code') }
  await run('sh', ['-c', script, 'sh', ...example('tee'), sink], { env })
  return { code: Number(readFileSync(path('code'))), stderr: readFileSync(path('stderr'), 'utf8') }
}

for (const [name, ...args] of [
  ['copy-read-write'],
  ['copy-read-write', '1000'],
  ['copy-sendfile'],
  ['copy-sendfile', '0', '1000'],
] as const) {
  test(`${[name, 'SOURCE SINK', ...args].join(' ')} copies every byte`, async (t) => {
    const { source, sink } = files(t, LARGE)
    const { stdout } = await execute(name, source, sink, ...args)
    t.is(stdout, `${LARGE} bytes\n`)
    t.is(sha256(sink), sha256(source))
  })
}

test('copy-sendfile begins at its offset', async (t) => {
  const { source, sink } = files(t, LARGE)
  const { stdout } = await execute('copy-sendfile', source, sink, '1234567')
  t.is(stdout, `${LARGE - 1_234_567} bytes\n`)
  t.is(sha256(sink), sha256(readFileSync(source).subarray(1_234_567)))
})

test('copy copies every byte, and says how far it is', async (t) => {
  const { source, sink } = files(t, LARGE)
  const { stdout, stderr } = await execute('copy', source, sink)
  t.regex(stdout, new RegExp(`^\n${LARGE} bytes by \\w+\n$`))
  t.regex(stderr, /\r100 %$/)
  t.is(sha256(sink), sha256(source))
})

test('the copying examples leave a file that is already there as it is', async (t) => {
  const { source, sink } = files(t, 10)
  writeFileSync(sink, 'precious')
  for (const name of ['copy-read-write', 'copy-sendfile', 'copy']) {
    await t.throwsAsync(execute(name, source, sink), { message: /EEXIST/ })
  }
  t.is(readFileSync(sink, 'utf8'), 'precious')
})

for (const [what, size, consumer] of [
  ['a large input to a slow consumer', LARGE, 'head -c 99999; sleep 0.5; cat'],
  ['a short input', 3, 'cat'],
  ['an empty input', 0, 'cat'],
] as const) {
  test(`tee duplicates ${what}`, async (t) => {
    const all = files(t, size)
    const { code, stderr } = await pipeThroughTee(all, 'cat "$source"', `{ ${consumer}; } > "$output"`)
    t.is(stderr, `${size} bytes\n`)
    t.is(code, 0)
    t.is(sha256(all.output), sha256(all.source))
    t.is(sha256(all.sink), sha256(all.source))
  })
}

test('tee ends with an error when its consumer does, and has kept what it duplicated', async (t) => {
  const all = files(t, LARGE)
  const { code, stderr } = await pipeThroughTee(all, 'cat "$source"', 'head -c 10 > "$output"')
  t.is(code, 1)
  const [, count] = /^tee: EPIPE: broken pipe, tee \(after (\d+) bytes\)\n$/.exec(stderr) ?? []
  t.is(sha256(all.sink), sha256(readFileSync(all.source).subarray(0, Number(count))))
})

test('tee waits for pipes that were handed to it nonblocking', async (t) => {
  const { source, sink, output } = files(t, LARGE)
  const input = new Pipe({ writerBlocking: true })
  const duplicate = new Pipe({ readerBlocking: true })
  const [node = '', ...args] = example('tee')
  const children = [
    spawn('sh', ['-c', 'sleep 1; head -c 70000; sleep 0.5; cat'], {
      stdio: ['pipe', input.writer.fd, 'inherit'],
    }),
    spawn(node, [...args, sink], { stdio: [input.reader.fd, duplicate.writer.fd, 'pipe'] }),
    spawn('sh', ['-c', 'sleep 2; cat > "$0"', output], { stdio: [duplicate.reader.fd, 'ignore', 'inherit'] }),
  ]
  input.close()
  duplicate.close()
  children[0]?.stdin?.end(readFileSync(source))
  const codes = children.map(async (child) => (await once(child, 'exit'))[0] as number)
  const said = children[1]?.stderr ? await buffer(children[1].stderr) : undefined
  t.deepEqual(await Promise.all(codes), [0, 0, 0])
  t.is(said?.toString(), `${LARGE} bytes\n`)
  t.is(sha256(output), sha256(source))
  t.is(sha256(sink), sha256(source))
})

test('tee says so where it is not between pipes', async (t) => {
  const { source, sink, output, path } = files(t, 10)
  const env = { ...process.env, source, output, stderr: path('stderr') }
  const between = async (script: string): Promise<string> => {
    await run('sh', ['-c', script, 'sh', ...example('tee'), sink], { env })
    return readFileSync(path('stderr'), 'utf8')
  }
  t.is(await between('"$@" < "$source" 2> "$stderr" | cat'), 'tee: standard input is not a pipe\n')
  t.is(
    await between('cat "$source" | "$@" 2> "$stderr" > "$output" || :'),
    'tee: standard output is not a pipe\n',
  )
})

test('serve serves its file again and again, and answers 404 where there is none', async (t) => {
  const { source, path } = files(t, LARGE)
  for (const [file, status] of [
    [source, 200],
    [path('missing'), 404],
  ] as const) {
    const [node = '', ...args] = example('serve')
    const child = spawn(node, [...args, file, '0'], { stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => child.kill())
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
    for (let i = 0; i < 2; i++) {
      const [res] = (await once(get(url), 'response')) as [IncomingMessage]
      const body = await buffer(res)
      t.is(res.statusCode, status)
      if (status === 200) t.is(sha256(body), sha256(source))
    }
  }
})

test('serve-static serves the files of a directory', async (t) => {
  const { source, path } = files(t, LARGE)
  const [node = '', ...args] = example('serve-static')
  const child = spawn(node, [...args, path('.'), '0'], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill())
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
  for (const [name, status] of [
    ['source', 200],
    ['missing', 404],
  ] as const) {
    const [res] = (await once(get(url + name), 'response')) as [IncomingMessage]
    const body = await buffer(res)
    t.is(res.statusCode, status)
    if (status === 200) t.is(sha256(body), sha256(source))
  }
})
