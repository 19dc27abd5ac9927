// By reference is the contract, snapshot the way out: rust-lang/rust#116451, rust-lang/rust#108283.

import test from 'ava'
import { writeSync } from 'node:fs'
import { capabilities, transfer } from 'zcio'
import { content, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { makeFile, pattern } from '../helpers/files.js'
import { received, sockets } from '../helpers/sockets.js'

const before = pattern(32 * 1024, 1)
const after = pattern(32 * 1024, 2)

/** A kernel that copies once instead would keep the promise of `snapshot` always. */
const { sharedPages } = capabilities()

for (const snapshot of [false, true]) {
  const title = snapshot ? 'with snapshot later writes do not show' : 'later writes to the file show'

  test(`${title}: in a pipe`, async (t) => {
    const fd = opened(t, makeFile(before).path, 'r+')
    const to = pipe(t)
    const result = await transfer(fd, to.writer, { snapshot })
    t.deepEqual(
      result,
      snapshot
        ? {
            bytes: before.length,
            mechanism: 'read_write',
            fallbacks: [{ mechanism: 'splice', code: 'SNAPSHOT' }],
          }
        : { bytes: before.length, mechanism: 'splice', fallbacks: [] },
    )
    writeSync(fd, after, 0, after.length, 0)
    const read = Buffer.alloc(before.length)
    t.is(to.readSync(read), before.length)
    t.deepEqual(read, sharedPages && !snapshot ? after : before)
  })

  for (const family of ['tcp', 'unix'] as const) {
    test(`${title}: on their way through a ${family} socket`, async (t) => {
      const fd = opened(t, makeFile(before).path, 'r+')
      const [near, far] = await sockets(t, family)
      await transfer(fd, near, { snapshot })
      writeSync(fd, after, 0, after.length, 0)
      t.deepEqual(await received(far), sharedPages && !snapshot ? after : before)
    })
  }

  test(`a copy is a copy, whatever makes it, ${snapshot ? 'with' : 'without'} snapshot`, async (t) => {
    const fd = opened(t, makeFile(before).path, 'r+')
    const to = sink(t)
    t.not((await transfer(fd, to, { snapshot })).mechanism, 'read_write')
    writeSync(fd, after, 0, after.length, 0)
    t.deepEqual(content(to), before)
  })
}

test('a snapshot is a copy, so that fallback: false forbids it', async (t) => {
  const [near] = await sockets(t)
  const { code } = await t.throwsAsync<NodeJS.ErrnoException>(
    transfer(source(t, before), near, { snapshot: true, fallback: false }),
  )
  t.is(code, 'ERR_ZCIO_COPY_REQUIRED')
})
