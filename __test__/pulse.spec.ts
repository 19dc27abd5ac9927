// The timer that looks after transfers: how often it reports, what it keeps from timing out, and when it rests.

import test from 'ava'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { transfer, type ProgressReport } from 'zcio'
import { watch } from '#src/pulse.js'
import { run } from './helpers/children.js'
import { source } from './helpers/descriptors.js'
import { failure } from './helpers/failures.js'
import { sockets, take } from './helpers/sockets.js'
import { until } from './helpers/wait.js'

const MIB = 2 ** 20

/** Bytes that move all the time. */
function moving(): () => number {
  let bytes = 0
  return () => (bytes += 1)
}

/** Reports, and when they came. */
function listener(): {
  onProgress: (report: ProgressReport) => void
  reports: ProgressReport[]
  gaps: () => number[]
} {
  const times: number[] = []
  const reports: ProgressReport[] = []
  return {
    onProgress: (report) => {
      times.push(performance.now())
      reports.push(report)
    },
    reports,
    gaps: () => times.slice(1).map((time, at) => time - (times[at] ?? 0)),
  }
}

test.serial('progress is reported at most every 50 ms, whatever else is looked after', async (t) => {
  const { onProgress, reports, gaps } = listener()
  const [hurried] = await sockets(t)
  hurried.setTimeout(40)
  const stop = [
    watch(moving(), { onProgress, total: 1000 }),
    // This one is looked after every 10 ms.
    watch(moving(), { sockets: [hurried] }),
  ]
  await until('reports', () => reports.length > 5)
  for (const done of stop) done()
  t.true(Math.min(...gaps()) >= 45, gaps().join())
  t.true(reports.every(({ total }) => total === 1000))
  const { length } = reports
  await sleep(120)
  t.is(reports.length, length, 'none after the end')
})

test.serial('where nothing moves nothing is reported', async (t) => {
  const { onProgress, reports } = listener()
  let bytes = 5
  const done = watch(() => bytes, { onProgress })
  await sleep(150)
  t.deepEqual(reports, [])
  bytes = 7
  await until('a report', () => reports.length > 0)
  done()
  t.deepEqual(reports, [{ bytes: 7 }])
})

test.serial('transfers that come and go do not put off the reports of one that stays', async (t) => {
  const { onProgress, reports } = listener()
  const done = watch(moving(), { onProgress })
  const [socket] = await sockets(t)
  socket.setTimeout(60)
  const deadline = Date.now() + 10_000
  while (reports.length < 3 && Date.now() < deadline) {
    const gone = watch(moving(), { sockets: [socket] })
    await sleep(4)
    gone()
    await sleep(1)
  }
  done()
  t.true(reports.length >= 3)
})

test.serial('a socket does not time out while its bytes move, and does when they stop', async (t) => {
  const [near, far] = await sockets(t, 'unix')
  let timeouts = 0
  near.setTimeout(1500, () => {
    timeouts += 1
  })
  const from = source(t, 16 * MIB)
  const controller = new AbortController()
  const stopped = failure(transfer(from, near, { signal: controller.signal }))
  for (let at = 0; at < 12; at += 1) {
    await take(far, MIB)
    await sleep(250)
  }
  t.is(timeouts, 0)
  await once(near, 'timeout')
  t.is(timeouts, 1)
  controller.abort()
  await stopped
})

test.serial('looking after something does not keep the process', async (t) => {
  const { code, stdout } = await run(`
    import { Pipe, transfer } from 'zcio'
    import { openSync } from 'node:fs'
    const source = openSync(process.execPath)
    await transfer(source, openSync('/dev/null', 'w'), { length: 1000, onProgress: ({ bytes }) => console.log(bytes) })`)
  t.is(code, 0)
  t.regex(stdout, /^(\d+\n)*1000\n$/)
})

test.serial('nothing to tell is nothing to look after', async (t) => {
  const [near] = await sockets(t)
  let asked = 0
  watch(() => (asked += 1), { sockets: [near] })()
  await sleep(60)
  t.is(asked, 0, 'a socket without a timeout')
})
