// As many bridges as a process has descriptors for, and one more; and a user who may have no more pages in pipes.

import test from 'ava'
import { tell } from '../helpers/children.js'
import { tunnels } from '../helpers/tunnels.js'

const LIMIT = 4096
/** Two sockets and two duplicates each; the rest is the process' own. */
const BRIDGES = Math.floor((LIMIT - 500) / 4)

/** The far ends, in a process of their own: told to, each sends and ends, and compares what it gets. */
const partners = `
  import { connect } from 'node:net'
  import { once } from 'node:events'
  const [port, many] = process.argv.slice(1).map(Number)
  const content = Buffer.alloc(30_011, 'every byte, in its place; ')
  const sockets = []
  for (let i = 0; i < many; i += 1) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    sockets.push(socket)
  }
  await once(process.stdin, 'data')
  const isRight = (socket) => new Promise((resolve) => {
    let at = 0, right = true
    socket.on('data', (chunk) => {
      right &&= chunk.equals(content.subarray(at, (at += chunk.length)))
    })
    socket.on('error', () => resolve(false)).on('end', () => resolve(right && at === content.length))
    socket.end(content)
  })
  const all = await Promise.all(sockets.map(isRight))
  console.log(all.filter(Boolean).length)
  process.exit()`

test('bridges up to the limit of descriptors hold no pipe, the next is by streams, and all move every byte', async (t) => {
  const told = await tell(
    `${tunnels}
    import { spawn } from 'node:child_process'
    import { closeSync, openSync } from 'node:fs'
    import { bridge, stats } from 'zcio'
    const many = 2 * (${BRIDGES} + 1)
    const server = await listen()
    const sockets = []
    server.on('connection', (socket) => sockets.push(socket))
    const far = spawn(process.execPath,
      ['--input-type=module', '--eval', ${JSON.stringify(partners)}, String(server.address().port), String(many)],
      { stdio: ['pipe', 'pipe', 'inherit'] })
    await until(() => sockets.length === many)
    const overs = []
    const join = () => overs.push(bridge(sockets[2 * overs.length], sockets[2 * overs.length + 1]))
    while (overs.length < ${BRIDGES}) join()
    await until(() => stats().transfers.active === 2 * ${BRIDGES})
    // One is kept for the next relay, for a second.
    const since = Date.now()
    await until(() => stats().pipes === 0 || Date.now() > since + 5000)
    const pipes = stats().pipes
    const taken = []
    try {
      for (;;) taken.push(openSync('/dev/null'))
    } catch {}
    join()
    await until(() => stats().transfers.active === 2 * ${BRIDGES} + 2)
    taken.forEach(closeSync)
    far.stdin.write('now')
    const right = Number(await received(far.stdout))
    const results = await Promise.all(overs)
    const ways = (from, to) => [...new Set(results.slice(from, to).flatMap(({ aToB, bToA }) => [aToB.mechanism, bToA.mechanism]))]
    console.log(JSON.stringify({ pipes, right, early: ways(0, -1), last: ways(-1), why: results.at(-1).aToB.fallbacks }))
    process.exit()`,
    { before: `ulimit -n ${LIMIT}` },
  )
  const { early, ...rest } = told as { early: string[] }
  t.true(early.includes('splice') && !early.includes('stream'), early.join())
  t.deepEqual(rest, {
    pipes: 0,
    right: 2 * (BRIDGES + 1),
    last: ['stream'],
    why: [{ mechanism: 'splice', code: 'EMFILE' }],
  } as never)
})

test("a user's soft limit of pages in pipes costs no byte", async (t) => {
  if (process.getuid?.() !== 0) {
    t.log('not proven here: only root can become a user whose pipes are limited')
    t.pass()
    return
  }
  const told = await tell(
    `${tunnels}
    import { bridge, fanOut, isSupported, Pipe, transfer } from 'zcio'
    import { readFileSync } from 'node:fs'
    isSupported()
    process.setgroups([])
    process.setgid(65534)
    process.setuid(65534)
    const pages = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'utf8'))
    const pipes = []
    // Until the kernel gives less than it gave the first: it has no more.
    do pipes.push(new Pipe())
    while (pipes.at(-1).capacity === pipes[0].capacity && pipes.length < 4000)
    const last = pipes.at(-1).capacity
    const server = await listen()
    const content = Buffer.alloc(3_000_001, 'no page to spare; ')
    const one = async () => {
      const [[left, a], [b, right], [from, origin], [to, target], [source, begin], [x, xEnd], [y, yEnd]] =
        await Promise.all(Array.from({ length: 7 }, () => connected(server)))
      const overs = [bridge(a, b), transfer(from, to), fanOut(source, [x, y])]
      for (const socket of [left, right, origin, begin]) socket.end(content)
      const all = await Promise.all([left, right, target, xEnd, yEnd].map(received))
      const [{ aToB }, moved, spread] = await Promise.all(overs)
      return [all.every((bytes) => bytes.equals(content)), aToB.mechanism, moved.mechanism, spread.sinks[0].mechanism]
    }
    const results = await Promise.all(Array.from({ length: 10 }, one))
    console.log(JSON.stringify({ isLimited: last < pipes[0].capacity || pages === 0, right: results.every(([right]) => right), ways: [...new Set(results.flat())] }))
    process.exit()`,
    { before: 'ulimit -n 9000' },
  )
  const { ways, ...rest } = told as { ways: unknown[] }
  t.log(ways)
  t.deepEqual(rest, { isLimited: true, right: true } as never)
})
