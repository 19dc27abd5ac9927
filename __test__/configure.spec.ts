// What the owner of a process sets is what happens from then on, on all its threads.

import test from 'ava'
import { capabilities, configure, plan, stats, transfer, type ConfigureOptions } from 'zcio'
import { run, tell } from './helpers/children.js'
import { content, pipe, sink, source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { makeFile, memory, pattern, sha256 } from './helpers/files.js'
import { serveFile } from './helpers/http-server.js'
import { threads } from './helpers/processes.js'
import { bare, received, sockets } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const defaults: ConfigureOptions = { diskThreads: 4, inlineMax: 65_536, disable: [] }
const bytes = pattern(50_000)

test.afterEach.always(() => {
  configure(defaults)
})

test.serial('at first all is on, and what is set is told', (t) => {
  t.deepEqual(capabilities().settings, { diskThreads: 4, inlineMax: 65_536, disable: [] })
  const disable = [{ mechanism: 'splice', fileSystem: 'xfs' } as const, { mechanism: 'sendfile' } as const]
  configure({ disable, inlineMax: 1000 })
  t.deepEqual(capabilities().settings, { diskThreads: 4, inlineMax: 1000, disable })
  configure({ disable: [] })
  t.deepEqual(capabilities().settings, { diskThreads: 4, inlineMax: 1000, disable: [] })
})

test.serial('what is wrong sets nothing', (t) => {
  const wrong = { diskThreads: 2, disable: ['rsync'] } as unknown as ConfigureOptions
  t.throws(
    () => {
      configure(wrong)
    },
    { code: 'ERR_INVALID_ARG_VALUE' },
  )
  t.is(capabilities().settings?.diskThreads, 4)
})

test.serial('a mechanism that is switched off does not run, and says so', async (t) => {
  configure({ disable: ['reflink', 'copy_file_range', 'sendfile'] })
  const to = sink(t)
  const result = await transfer(source(t, bytes), to)
  const off = (mechanism: string): object => ({ mechanism, code: 'SWITCHED_OFF' })
  t.deepEqual(result, {
    bytes: bytes.length,
    mechanism: 'splice',
    fallbacks: [off('reflink'), off('copy_file_range'), off('sendfile')],
  } as unknown as typeof result)
  t.is(sha256(content(to)), sha256(bytes))
})

test.serial('with all switched off only a copy is left, and nothing without one', async (t) => {
  configure({ disable: ['reflink', 'copy_file_range', 'sendfile', 'splice'] })
  const [near, far] = await sockets(t)
  const arrived = received(far)
  t.is((await transfer(source(t, bytes), near)).mechanism, 'read_write')
  t.is(sha256(await arrived), sha256(bytes))

  const to = sink(t)
  const error = await failure(transfer(source(t, bytes), to, { fallback: false }))
  t.like(error, { code: 'ERR_ZCIO_COPY_REQUIRED', bytes: 0 })
  t.is(content(to).length, 0)
})

test.serial('one transfer has switches of its own', async (t) => {
  const { reader, writer } = pipe(t)
  t.like(await transfer(source(t, 100), writer, { disable: ['splice'] }), {
    mechanism: 'read_write',
    fallbacks: [{ mechanism: 'splice', code: 'SWITCHED_OFF' }],
  })
  writer.close()
  t.like(await transfer(reader, sink(t)), { mechanism: 'splice', fallbacks: [] })
})

test.serial('a switch for one file system leaves others alone', async (t) => {
  configure({ disable: [{ mechanism: 'sendfile', fileSystem: 'tmpfs' }] })
  const [near] = await sockets(t)
  const [inMemory, onDisk] = [source(t, 100, memory()), source(t, 100)]
  const mechanism = async (fd: number): Promise<string> => (await transfer(fd, bare(near))).mechanism
  t.is(await mechanism(onDisk), 'sendfile')
  t.is(await mechanism(inMemory), memory() === '/dev/shm' ? 'read_write' : 'sendfile')
  configure({ disable: [{ mechanism: 'sendfile', fileSystem: 0x0102_1994 }] })
  t.is(plan(inMemory, bare(near)).refused.length, memory() === '/dev/shm' ? 1 : 0, 'by its number')
})

/** 40 000 bytes: read by nobody at once, sent by one sendfile if that may be. */
for (const [what, options, mechanism] of [
  ['by default a short body in memory is sent at once', {}, 'sendfile'],
  ['a body beyond inlineMax is left to the engine', { inlineMax: 39_999 }, 'sendfile'],
  ['without sendfile a body is copied by the engine', { disable: ['sendfile'] }, 'read_write'],
] as const) {
  test.serial(what, async (t) => {
    configure(options)
    const file = makeFile(40_000, 'body', memory())
    const server = await serveFile(t, file.path)
    const client = await server.connect()
    const before = stats()
    const response = await client.get()
    t.is(response.hash, sha256(file.bytes))
    const { value } = await server.outcome()
    t.is(value?.mechanism, mechanism)
    const after = stats()
    t.is(after.transfers.completed - before.transfers.completed, 1)
    t.is(after.bytes[mechanism] - before.bytes[mechanism], 40_000)
    t.is(
      value?.fallbacks.some(({ code }) => code === 'SWITCHED_OFF'),
      'disable' in options,
    )
  })
}

test.serial('with inlineMax 0 not even a small body is read on this thread', async (t) => {
  configure({ inlineMax: 0 })
  const file = makeFile(100, 'body', memory())
  const server = await serveFile(t, file.path)
  const client = await server.connect()
  t.is((await client.get()).hash, sha256(file.bytes))
  t.is((await server.outcome()).value?.mechanism, 'sendfile')
})

test.serial('disk threads are no more than were allowed, and end when they are too many', async (t) => {
  const copies = (count: number): Promise<unknown> =>
    Promise.all(Array.from({ length: count }, () => transfer(source(t, 3_000_000), sink(t))))
  const running = (): number => threads().filter((name) => name === 'zcio-disk').length
  configure({ diskThreads: 3 })
  await copies(20)
  t.true(running() <= 4 && running() >= 1)
  configure({ diskThreads: 1 })
  // Each that is woken ends; the last one does all the work.
  await until('one thread', async () => {
    await copies(4)
    return running() === 1
  })
  t.is(stats().disk.threads, 1)
  await copies(10)
  t.is(running(), 1)
})

test.serial('the environment is read once, by the first thread that uses zcio', async (t) => {
  const program = `
    import { Worker, isMainThread, parentPort } from 'node:worker_threads'
    import { capabilities, configure } from 'zcio'
    const before = capabilities().settings
    configure({ diskThreads: 7, disable: [] })
    const worker = new Worker("import { parentPort } from 'node:worker_threads'; import('zcio').then(({ capabilities }) => parentPort.postMessage(capabilities().settings))", { eval: true })
    worker.once('message', (after) => console.log(JSON.stringify({ before, after })))`
  const environment =
    'export ZCIO_DISK_THREADS=2 ZCIO_INLINE_MAX=0 ZCIO_PIPE_BUDGET=5 ZCIO_DISABLE=splice@xfs'
  t.deepEqual(await tell(program, { before: environment }), {
    before: {
      diskThreads: 2,
      inlineMax: 0,
      pipeBudget: 5,
      disable: [{ mechanism: 'splice', fileSystem: 'xfs' }],
    },
    after: { diskThreads: 7, inlineMax: 0, pipeBudget: 5, disable: [] },
  })
})

test.serial('what is wrong in the environment is a warning at first use, and never a throw', async (t) => {
  const program = `
    process.on('warning', ({ name, code, message }) => console.log(JSON.stringify({ name, code, message })))
    const { capabilities } = await import('zcio')
    await new Promise(setImmediate)
    console.log('imported')
    capabilities()
    capabilities()`
  const { code, stdout } = await run(program, { before: 'export ZCIO_DISK_THREADS=none' })
  t.is(code, 0)
  const [imported, warning, ...more] = stdout.trim().split('\n')
  t.is(imported, 'imported')
  t.like(JSON.parse(warning ?? ''), { name: 'ZcioWarning', code: 'ZCIO_ENVIRONMENT' })
  t.regex(warning ?? '', /ZCIO_DISK_THREADS=none is ignored.*>= 1 and <= 128/)
  t.deepEqual(more, [])
})

test.serial('where zcio does not work arguments are checked, and nothing is set', async (t) => {
  const program = `
    Object.defineProperty(process, 'platform', { value: 'darwin' })
    const { configure, capabilities, stats } = await import('zcio')
    configure({ diskThreads: 2, disable: [{ mechanism: 'splice', fileSystem: 'apfs' }] })
    let code
    try { configure({ diskThreads: 0 }) } catch (error) { code = error.code }
    console.log(JSON.stringify({ code, settings: capabilities().settings, started: stats().transfers.started }))`
  t.deepEqual(await tell(program), { code: 'ERR_OUT_OF_RANGE', started: 0 })
})
