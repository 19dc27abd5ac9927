// Where a copy ends early, or would never: no space, limits, files that shrink or grow, a file copied onto itself.

import test from 'ava'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { transfer } from 'zcio'
import { tell } from '../helpers/children.js'
import { content, opened, position, sink, source } from '../helpers/descriptors.js'
import { failure } from '../helpers/failures.js'
import { makeFile, memory, pathFor, pattern, sha256 } from '../helpers/files.js'
import { received, sockets, take } from '../helpers/sockets.js'

const MIB = 2 ** 20
const bytes = pattern(3 * MIB)

test('a full file system keeps what fitted, says how much, and takes the rest later', async (t) => {
  const mount = pathFor('small')
  mkdirSync(mount)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'zcio-test', mount], { stdio: 'ignore' })
  } catch {
    {
      t.pass('a small file system can be mounted by root only')
      return
    }
  }
  t.teardown(() => execFileSync('umount', ['-l', mount]))
  const path = join(mount, 'sink')
  const to = opened(t, path, 'w')
  const from = source(t, bytes)
  const error = await failure(transfer(from, to))
  t.like(error, { code: 'ENOSPC', errno: -28, side: 'sink', bytes: MIB })
  t.regex(error.message, /^ENOSPC: no space left on device, (sendfile|write|copy_file_range)$/)
  t.is(error.residual, undefined, 'what can be read again is not handed back')
  t.is(sha256(readFileSync(path)), sha256(bytes.subarray(0, MIB)))
  t.is(position(from), MIB)
  execFileSync('mount', ['-o', 'remount,size=8m', mount])
  t.is((await transfer(from, to)).bytes, 2 * MIB)
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

/** SIGXFSZ, raised even where a part fitted, would kill the process. */
test('a limit on the size of files ends the transfer, and not the process', async (t) => {
  const limit = 100 * 1024
  const { path } = makeFile(bytes)
  const sinks = [pathFor('sink'), pathFor('sink', memory()), pathFor('sink'), pathFor('sink')]
  const program = `
    import { transfer, sendfileSync } from 'zcio'
    import { openSync } from 'node:fs'
    const source = openSync(${JSON.stringify(path)})
    const [near, far, appended, last] = ${JSON.stringify(sinks)}
    const tell = ({ code, errno, bytes, side }) => ({ code, errno, bytes, side })
    const told = []
    for (const sink of [openSync(near, 'w'), openSync(far, 'w'), openSync(appended, 'a')]) {
      told.push(await transfer(source, sink, { start: 0 }).catch(tell))
    }
    const sink = openSync(last, 'w')
    told.push(sendfileSync(sink, source, 0, 300_000))
    try { sendfileSync(sink, source, 0, 300_000) } catch (error) { told.push(tell(error)) }
    console.log(JSON.stringify(told))`
  // POSIX counts in blocks of 512 bytes.
  const told = await tell(program, { before: `ulimit -f ${limit / 512}` })
  const error = { code: 'EFBIG', errno: -27, bytes: limit, side: 'sink' }
  t.deepEqual(told, [error, error, error, limit, { code: 'EFBIG', errno: -27, bytes: 0 }])
  for (const sink of sinks) t.is(sha256(readFileSync(sink)), sha256(bytes.subarray(0, limit)))
})

/** libuv's fs.copyFile spins for ever here; oven-sh/bun#34185, oven-sh/bun#41622. */
test('a source that is shorter than what was asked for ends where it ends', async (t) => {
  const { path } = makeFile(bytes)
  const [from, to] = [opened(t, path), sink(t)]
  truncateSync(path, MIB)
  t.is((await transfer(from, to, { length: 3 * MIB })).bytes, MIB)
  t.is(sha256(content(to)), sha256(bytes.subarray(0, MIB)))
})

for (const snapshot of [false, true]) {
  test(`a source that is truncated midway ends there, ${snapshot ? 'copied' : 'by reference'}`, async (t) => {
    const whole = pattern(16 * MIB)
    const { path } = makeFile(whole)
    const [near, far] = await sockets(t, 'unix')
    const moving = transfer(opened(t, path), near, { snapshot, length: 16 * MIB })
    const first = await take(far, MIB)
    // The socket is full; what is not in it is gone.
    truncateSync(path, 2 * MIB)
    const arrived = Buffer.concat([first, await received(far)])
    const { bytes: moved } = await moving
    t.is(arrived.length, moved)
    t.true(moved >= MIB && moved < 16 * MIB, String(moved))
    const intact = snapshot ? moved : MIB
    t.is(sha256(arrived.subarray(0, intact)), sha256(whole.subarray(0, intact)))
  })
}

test('a file truncated during a copy ends the copy', async (t) => {
  const { path } = makeFile(0, 'source', memory())
  truncateSync(path, 256 * MIB)
  const to = sink(t, memory())
  const moving = transfer(opened(t, path), to, { start: 0, length: 256 * MIB })
  await new Promise(setImmediate)
  truncateSync(path, 0)
  t.is((await moving).bytes, fstatSync(to).size)
})

test('what a source grows by midway is moved too, unless a length was given', async (t) => {
  const whole = pattern(9 * MIB)
  for (const length of [undefined, 8 * MIB]) {
    const { path } = makeFile(whole.subarray(0, 8 * MIB))
    const [near, far] = await sockets(t, 'unix')
    const moving = transfer(opened(t, path), near, length === undefined ? {} : { length })
    const first = await take(far, MIB)
    appendFileSync(path, whole.subarray(8 * MIB))
    const arrived = Buffer.concat([first, await received(far)])
    t.is((await moving).bytes, length ?? 9 * MIB)
    t.is(sha256(arrived), sha256(whole.subarray(0, length ?? 9 * MIB)))
  }
})

test('a file is not copied onto its own bytes', async (t) => {
  const { path } = makeFile(bytes)
  for (const options of [{}, { start: 0, sinkStart: 1 }, { start: MIB, sinkStart: 0, length: 2 * MIB }]) {
    const error = await failure(transfer(opened(t, path), opened(t, path, 'r+'), options))
    t.like(error, { code: 'ERR_ZCIO_UNSUPPORTED', bytes: 0 })
    t.regex(error.message, /overlap/)
  }
  t.is(sha256(readFileSync(path)), sha256(bytes))
})

test('within a file bytes are copied to where they do not overlap', async (t) => {
  const { path } = makeFile(bytes)
  const fd = opened(t, path, 'r+')
  await transfer(fd, fd, { start: 0, length: MIB, sinkStart: 2 * MIB })
  const [first, second] = [bytes.subarray(0, MIB), bytes.subarray(MIB, 2 * MIB)]
  t.is(sha256(readFileSync(path)), sha256(Buffer.concat([first, second, first])))
})

test('a file appended to itself doubles, and does not run after its own tail', async (t) => {
  const { path } = makeFile(bytes)
  t.is((await transfer(opened(t, path), opened(t, path, 'a'))).bytes, bytes.length)
  t.is(sha256(readFileSync(path)), sha256(Buffer.concat([bytes, bytes])))
  t.is((await transfer(opened(t, path), opened(t, path, 'r+'), { sinkStart: 6 * MIB })).bytes, 6 * MIB)
  t.is(statSync(path).size, 12 * MIB)
})

test('a sink whose position is past its end gets a hole', async (t) => {
  const to = sink(t)
  writeSync(to, 'before')
  ftruncateSync(to, 0)
  await transfer(source(t, bytes), to)
  t.is(sha256(content(to)), sha256(Buffer.concat([Buffer.alloc(6), bytes])))
})
