// Memory given to a pipe: what arrives, what is taken away, what is refused, and that nothing stays mapped.

import test from 'ava'
import { allocPages, constants, spliceSync, vmsplice, vmspliceSync, type PageBuffers, type Pipe } from 'zcio'
import { tell } from './helpers/children.js'
import { pipe, sink, source } from './helpers/descriptors.js'
import { failure, thrown, told } from './helpers/failures.js'
import { pattern } from './helpers/files.js'
import { bare, received, sockets } from './helpers/sockets.js'
import { until, within } from './helpers/wait.js'

const PAGE = 4096
const bytes = pattern(3 * PAGE)
const { SPLICE_F_NONBLOCK, SPLICE_F_GIFT } = constants

/** Pages with this content. */
function pages(content: Buffer): Buffer {
  const made = allocPages(content.length)
  content.copy(made)
  return made
}

function read(from: Pipe, length = from.buffered): Buffer {
  const got = Buffer.alloc(length)
  return got.subarray(0, from.readSync(got))
}

test('pages are zeros, of any length, each a mapping of its own', (t) => {
  for (const length of [1, 100, PAGE, PAGE + 1, 1_000_000]) {
    const made = allocPages(length)
    t.true(Buffer.isBuffer(made))
    t.is(made.length, length)
    t.true(made.equals(Buffer.alloc(length)))
    t.is(made.byteOffset, 0)
    t.is(made.buffer.byteLength, length)
  }
})

test('what is given arrives, and is taken away', (t) => {
  const to = pipe(t)
  const given = pages(bytes)
  t.is(vmspliceSync(to.writer, given), bytes.length)
  t.is(given.length, 0)
  t.is(given.buffer.byteLength, 0)
  t.is(to.buffered, bytes.length)
  t.deepEqual(read(to), bytes)
})

test('parts of what was given are gone with it', (t) => {
  const given = pages(bytes)
  const part = given.subarray(10, 20)
  vmspliceSync(pipe(t).writer, given)
  t.is(part.length, 0)
})

test('several are given in one call, in order, also one that is not a whole page', (t) => {
  const to = pipe(t)
  const given = [pages(bytes.subarray(0, 100)), pages(bytes.subarray(100, 5000)), pages(bytes.subarray(5000))]
  t.is(vmspliceSync(to.writer, given, { flags: SPLICE_F_GIFT | SPLICE_F_NONBLOCK }), bytes.length)
  t.deepEqual(
    given.map(({ length }) => length),
    [0, 0, 0],
  )
  t.deepEqual(read(to), bytes)
})

test('the same pages twice are sent twice, and taken once', (t) => {
  const to = pipe(t)
  const given = pages(bytes)
  t.is(vmspliceSync(to.writer, [given, Buffer.from(given.buffer)]), 2 * bytes.length)
  t.is(given.length, 0)
  t.deepEqual(read(to), Buffer.concat([bytes, bytes]))
})

test('nothing is nothing', (t) => {
  t.is(vmspliceSync(pipe(t).writer, []), 0)
})

/** uutils/coreutils#7625: the reason why they are taken away. */
test('what is kept is sent as it is when it is read', (t) => {
  const to = pipe(t)
  const kept = pages(bytes)
  t.is(vmspliceSync(to.writer, kept, { keep: true }), bytes.length)
  t.is(kept.length, bytes.length)
  kept.write('later')
  const arrived = read(to)
  const expected = Buffer.from(bytes)
  // A kernel that copies instead would send them as they were.
  if (!arrived.equals(bytes)) expected.write('later')
  t.deepEqual(arrived, expected)
})

test('of kept pages, parts may be sent, and again', (t) => {
  const to = pipe(t)
  const kept = pages(bytes)
  for (let times = 0; times < 3; times += 1) {
    t.is(vmspliceSync(to.writer, kept.subarray(100, 5100), { keep: true }), 5000)
    t.deepEqual(read(to), bytes.subarray(100, 5100))
  }
})

test('kept pages go as far as there is room', (t) => {
  const to = pipe(t, { capacity: 2 * PAGE })
  const kept = pages(pattern(100 * PAGE))
  const moved = vmspliceSync(to.writer, kept, { keep: true, flags: SPLICE_F_NONBLOCK })
  t.is(moved, to.capacity)
  t.deepEqual(read(to), pattern(100 * PAGE).subarray(0, moved))
})

test('pages that are given go whole or not at all', (t) => {
  const to = pipe(t)
  const large = pages(pattern(to.capacity + 1))
  const error = thrown(() => vmspliceSync(to.writer, large))
  t.is(error.code, 'ERR_OUT_OF_RANGE')
  t.regex(error.message, /at most 16 pages, the pipe's capacity; grow it with Pipe\.setCapacity/)
  t.is(large.length, to.capacity + 1)
  to.setCapacity(2 * to.capacity)
  t.is(vmspliceSync(to.writer, large), to.capacity / 2 + 1)
  const more = pages(bytes)
  t.deepEqual(told(thrown(() => vmspliceSync(to.writer, more))), {
    code: 'EAGAIN',
    errno: -11,
    syscall: 'vmsplice',
    message: 'EAGAIN: resource temporarily unavailable, vmsplice',
  })
  t.is(more.length, bytes.length)
})

test('no more pieces are given than the kernel takes in one call', (t) => {
  const many = Array.from({ length: 1025 }, () => allocPages(1))
  const error = thrown(() => vmspliceSync(pipe(t).writer, many))
  t.is(error.code, 'ERR_OUT_OF_RANGE')
  t.regex(error.message, /at most 1024 buffers/)
  t.true(many.every(({ length }) => length === 1))
})

test('half a mapping is not given away', (t) => {
  const to = pipe(t)
  const whole = pages(bytes)
  for (const part of [whole.subarray(1), whole.subarray(0, -1), [whole, whole.subarray(PAGE)]]) {
    const error = thrown(() => vmspliceSync(to.writer, part))
    t.true(error instanceof TypeError)
    t.is(error.code, 'ERR_INVALID_ARG_VALUE')
    t.regex(error.message, /^The "pages" argument must be whole buffers .* \{ keep: true \}\./)
  }
  t.is(whole.length, bytes.length)
  t.is(to.buffered, 0)
})

test('memory from anywhere else is refused, with what would do', (t) => {
  const to = pipe(t)
  const [own, given] = [allocPages(PAGE), allocPages(PAGE)]
  vmspliceSync(pipe(t).writer, given)
  for (const keep of [false, true]) {
    for (const memory of [
      Buffer.alloc(PAGE),
      Buffer.from('pooled'),
      new Uint8Array(own.buffer),
      own.buffer,
      given,
      [own, Buffer.alloc(1)],
      'text',
      null,
      undefined,
      {},
    ]) {
      const error = thrown(() => vmspliceSync(to.writer, memory as PageBuffers, { keep }))
      t.true(error instanceof TypeError)
      t.is(error.code, 'ERR_INVALID_ARG_TYPE')
      t.regex(error.message, /^The "pages" argument must be memory from allocPages .*Pipe\.writeSync/)
    }
  }
  t.is(own.length, PAGE)
  t.is(to.buffered, 0)
})

test('on the reading end it fills the pages', (t) => {
  const from = pipe(t)
  from.writeSync(bytes)
  const filled = [allocPages(100), allocPages(PAGE), allocPages(4 * PAGE)]
  t.is(vmspliceSync(from.reader, filled, { flags: SPLICE_F_NONBLOCK }), bytes.length)
  t.deepEqual(Buffer.concat(filled).subarray(0, bytes.length), bytes)
  t.is(from.buffered, 0)
  t.like(
    thrown(() => vmspliceSync(from.reader, filled, { flags: SPLICE_F_NONBLOCK })),
    { code: 'EAGAIN' },
  )
  from.writer.close()
  t.is(vmspliceSync(from.reader, filled), 0)
})

test('given pages go on through a socket, and arrive long after they are gone here', async (t) => {
  const [near, far] = await sockets(t)
  const through = pipe(t)
  for (let part = 0; part < 3; part += 1) {
    vmspliceSync(through.writer, pages(bytes.subarray(part * PAGE, (part + 1) * PAGE)))
    t.is(spliceSync(through.reader, null, bare(near), null, PAGE), PAGE)
    // Its memory may be another's by now.
    pages(Buffer.alloc(PAGE, 'secret'))
  }
  near.end()
  t.deepEqual(await received(far), bytes)
})

test('fails as its man page says', (t) => {
  const unread = pipe(t)
  unread.reader.close()
  const own = pages(bytes)
  t.like(
    thrown(() => vmspliceSync(unread.writer, own)),
    { code: 'EPIPE', syscall: 'vmsplice' },
  )
  t.like(
    thrown(() => vmspliceSync(sink(t), own, { keep: true })),
    { code: 'EBADF', syscall: 'vmsplice' },
  )
  t.like(
    thrown(() => vmspliceSync(source(t, bytes), own)),
    { code: 'EBADF', syscall: 'vmsplice' },
  )
  t.is(thrown(() => vmspliceSync(sink(t), own)).code, 'EBADF')
  t.is(thrown(() => vmspliceSync(1_000_000, own)).code, 'EBADF')
  t.like(
    thrown(() => vmspliceSync(pipe(t).writer, own, { keep: true, flags: 0x80 })),
    { code: 'EINVAL' },
  )
  t.is(own.length, bytes.length, 'what was not moved is still ours')
})

test('bad input is refused by name', (t) => {
  for (const [length, type] of [
    ['1', TypeError],
    [1n, TypeError],
    [undefined, TypeError],
    [0, RangeError],
    [-1, RangeError],
    [1.5, RangeError],
    [NaN, RangeError],
    [2 ** 31 + 1, RangeError],
  ] as const) {
    const error = thrown(() => allocPages(length as number))
    t.true(error instanceof type)
    t.true(error.message.includes('"length"'), error.message)
  }
  const { writer } = pipe(t)
  for (const [options, name] of [
    [{ keep: 1 }, 'options.keep'],
    [{ flags: '1' }, 'flags'],
    [{ flags: -1 }, 'flags'],
    [{ flags: 0.5 }, 'flags'],
    [{ gift: true }, 'options.gift'],
    [null, 'options'],
  ] as const) {
    const error = thrown(() => vmspliceSync(writer, allocPages(1), options as never))
    t.true(error.message.includes(`"${name}"`), error.message)
  }
  t.regex(thrown(() => vmspliceSync('1' as never, allocPages(1))).message, /^The "pipe" argument must be /)
})

test('mappings go when their buffers are collected or given', async (t) => {
  const left = await tell(
    `
    import { allocPages, vmspliceSync, Pipe } from 'zcio'
    import { readFileSync } from 'node:fs'
    const count = () => readFileSync('/proc/self/maps', 'utf8').split('/dev/zero').length - 1
    const settle = async () => {
      for (let i = 0; i < 10; i += 1) { gc(); await new Promise(setImmediate) }
    }
    const pipe = new Pipe()
    const read = Buffer.alloc(4096)
    const round = () => {
      for (let i = 0; i < 1000; i += 1) {
        allocPages(4096)
        vmspliceSync(pipe.writer, allocPages(4096))
        pipe.readSync(read)
      }
    }
    round()
    const most = count()
    await settle()
    const before = count()
    for (let i = 0; i < 5; i += 1) { round(); await settle() }
    console.log(JSON.stringify({ most, before, after: count() }))`,
    { options: ['--expose-gc'] },
  )
  const { most, before, after } = left as { most: number; before: number; after: number }
  t.true(most > 500, `${most} mappings`)
  t.true(after <= before, `${before} mappings, then ${after}`)
})

test('no memory is an error like another', async (t) => {
  const error = await tell(
    `
    import { allocPages } from 'zcio'
    import { writeSync } from 'node:fs'
    const kept = []
    try {
      for (let i = 0; i < 256; i += 1) kept.push(allocPages(2 ** 31))
    } catch ({ code, syscall, message }) {
      writeSync(1, JSON.stringify({ code, syscall, message }))
    }
    // There is no memory for anything else now.
    process.exit()`,
    { before: `ulimit -v ${256 * 2 ** 20}` },
  )
  t.deepEqual(error, { code: 'ENOMEM', syscall: 'mmap', message: 'ENOMEM: not enough memory, mmap' })
})

/** Takes so many bytes out of a pipe as they come. */
async function take(from: Pipe, length: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let got = 0; got < length;) {
    await until('bytes', () => from.buffered > 0)
    const part = read(from)
    parts.push(part)
    got += part.length
  }
  return Buffer.concat(parts)
}

test('as a promise all is given, however small the pipe, and taken away at once', async (t) => {
  const to = pipe(t)
  const parts = [pattern(300_000), pattern(10), pattern(70_000)]
  const given = parts.map(pages)
  const call = vmsplice(to.writer, given)
  t.deepEqual(
    given.map(({ length }) => length),
    [0, 0, 0],
  )
  t.deepEqual(await take(to, 370_010), Buffer.concat(parts))
  t.is(await call, 370_010)
})

test('as a promise pages go to a pipe that is not empty, in order', async (t) => {
  const to = pipe(t)
  to.writeSync(Buffer.from('before'))
  t.is(await vmsplice(to.writer, pages(bytes)), bytes.length)
  t.is(await vmsplice(to.writer, []), 0)
  t.deepEqual(read(to), Buffer.concat([Buffer.from('before'), bytes]))
})

test('as a promise kept pages wait for room, and go as far as there is', async (t) => {
  const to = pipe(t, { capacity: 2 * PAGE })
  const kept = pages(pattern(100 * PAGE))
  to.writeSync(Buffer.alloc(to.capacity))
  const call = vmsplice(to.writer, kept, { keep: true })
  t.is(read(to).length, to.capacity)
  t.is(await within('room', call), to.capacity)
  t.is(kept.length, 100 * PAGE)
  t.deepEqual(read(to), pattern(100 * PAGE).subarray(0, to.capacity))
})

test('as a promise the reading end fills pages when there is something, and 0 is the end', async (t) => {
  const from = pipe(t)
  const filled = [allocPages(10), allocPages(PAGE)]
  const call = vmsplice(from.reader, filled)
  from.writeSync(bytes.subarray(0, 100))
  t.is(await within('bytes', call), 100)
  t.deepEqual(Buffer.concat(filled).subarray(0, 100), bytes.subarray(0, 100))
  const last = vmsplice(from.reader, filled[1]?.subarray(10) ?? [])
  from.writer.close()
  t.is(await within('the end', last), 0)
})

test('as a promise what fails before anything is given leaves the pages, and afterwards tells how much', async (t) => {
  const [unread, left] = [pipe(t), pipe(t)]
  unread.reader.close()
  const own = pages(bytes)
  t.like(await failure(vmsplice(unread.writer, own)), { code: 'EPIPE', syscall: 'vmsplice', bytes: 0 })
  t.like(await failure(vmsplice(sink(t), own)), { code: 'EBADF', syscall: 'vmsplice' })
  t.like(await failure(vmsplice(1_000_000, own)), { code: 'EBADF', syscall: 'vmsplice' })
  t.is(own.length, bytes.length)
  const { capacity } = left
  const call = vmsplice(left.writer, pages(pattern(2 * capacity)))
  left.reader.close()
  t.like(await failure(call), { code: 'EPIPE', bytes: capacity })
})

test('closing the pipe ends the giving', async (t) => {
  const to = pipe(t)
  const { capacity } = to
  const call = vmsplice(to.writer, pages(pattern(2 * capacity)))
  to.writer.close()
  t.like(await failure(call), { code: 'ECANCELED', syscall: 'vmsplice', bytes: capacity })
  t.deepEqual(read(to), pattern(capacity), 'what was given arrives')
})

test('as a promise it refuses what the call would have to trust', async (t) => {
  const { writer } = pipe(t)
  const own = allocPages(2 * PAGE)
  t.is((await failure(vmsplice(writer, own.subarray(PAGE)))).code, 'ERR_INVALID_ARG_VALUE')
  t.is((await failure(vmsplice(writer, Buffer.alloc(PAGE)))).code, 'ERR_INVALID_ARG_TYPE')
  t.regex((await failure(vmsplice(writer, own, { keep: 1 as never }))).message, /"options\.keep"/)
  t.regex((await failure(vmsplice(writer, own, { flags: -1 }))).message, /"flags"/)
  t.is(own.length, 2 * PAGE)
})

/** An ArrayBuffer that is moved to another owner is the same memory under another object. */
test('memory that was moved to another object is known by its address', async (t) => {
  const told = await tell(`
    import { allocPages, Pipe, vmsplice } from 'zcio'
    const pipe = new Pipe()
    const pages = allocPages(4096).fill('x')
    const { buffer } = pages
    let moved
    try { moved = Buffer.from(buffer.transfer()) } catch { moved = pages }
    const before = moved.length
    const given = await vmsplice(pipe.writer, moved)
    const read = Buffer.alloc(4096)
    const arrived = pipe.readSync(read)
    console.log(JSON.stringify([before, given, moved.length, arrived, read.equals(Buffer.alloc(4096, 'x'))]))
    pipe.close()`)
  t.deepEqual(told, [PAGE, PAGE, 0, PAGE, true])
})

test('mappings that were given to a call that waits go when it has ended', async (t) => {
  const counts = await tell(
    `
    import { allocPages, vmsplice, Pipe } from 'zcio'
    import { readFileSync } from 'node:fs'
    const count = () => readFileSync('/proc/self/maps', 'utf8').split('/dev/zero').length - 1
    const settle = async () => { for (let i = 0; i < 10; i += 1) { gc(); await new Promise(setImmediate) } }
    const pipe = new Pipe({ capacity: 4096 })
    const read = Buffer.alloc(4096)
    const calls = vmsplice(pipe.writer, Array.from({ length: 100 }, () => allocPages(4096)))
    await settle()
    const meanwhile = count()
    let length = 0
    while (length < 409_600) {
      try { length += pipe.readSync(read) } catch { await new Promise(setImmediate) }
    }
    const given = await calls
    await settle()
    console.log(JSON.stringify([meanwhile, given, count()]))
    pipe.close()`,
    { options: ['--expose-gc'] },
  )
  t.deepEqual(counts, [100, 409_600, 0])
})
