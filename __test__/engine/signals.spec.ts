// A storm of signals: every call may be interrupted, and no byte is lost or sent twice.

import test from 'ava'
import { ok as assert } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { makeFile, pathFor } from '../helpers/files.js'
import { tunnels } from '../helpers/tunnels.js'
import { within } from '../helpers/wait.js'

const file = makeFile(8 * 2 ** 20 + 3)

/** Moves the file along every row of the route table, and prints of each what arrived. */
const rows = `${tunnels}
  import { bridge, fanOut, Pipe, transfer } from 'zcio'
  import { openSync, readFileSync } from 'node:fs'
  let heard = 0
  process.on('SIGUSR1', () => { heard += 1 })
  const path = ${JSON.stringify(file.path)}
  const content = readFileSync(path)
  const server = await listen()
  let made = 0
  const sink = () => openSync(${JSON.stringify(pathFor('sink'))} + made++, 'w+')
  const holds = (fd) => sha256(readFileSync('/proc/self/fd/' + fd))
  const wanted = sha256(content)
  const from = {
    file: () => openSync(path),
    pipe: () => {
      const pipe = new Pipe()
      transfer(openSync(path), pipe.writer).then(() => pipe.writer.close())
      return pipe.reader
    },
    socket: async () => {
      const [near, far] = await connected(server)
      far.end(content)
      return near
    },
    device: () => openSync('/dev/zero', 0o4000),
  }
  const to = {
    file: () => {
      const fd = sink()
      return [fd, () => holds(fd)]
    },
    pipe: () => {
      const [pipe, fd] = [new Pipe(), sink()]
      const moved = transfer(pipe.reader, fd)
      return [pipe.writer, () => (pipe.writer.close(), moved.then(() => holds(fd)))]
    },
    socket: async () => {
      const [near, far] = await connected(server)
      const all = received(far)
      return [near, () => all.then(sha256)]
    },
    device: () => [openSync('/dev/null', 0o4001), () => wanted],
  }
  process.send('ready')
  while (heard === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  const wrong = []
  for (const [name, source] of Object.entries(from)) {
    for (const [where, target] of Object.entries(to)) {
      const [sink, arrived] = await target()
      const { bytes } = await transfer(await source(), sink, { length: content.length })
      const right = name === 'device' ? sha256(Buffer.alloc(content.length)) : wanted
      const hash = await arrived()
      if (bytes !== content.length || hash !== (where === 'device' ? wanted : right)) wrong.push([name, where, bytes])
    }
  }
  const [[left, a], [b, right], [one, begin]] =
    [await connected(server), await connected(server), await connected(server)]
  const [first, second] = [sink(), await connected(server)]
  const over = [bridge(a, b), fanOut(one, [first, second[0]])]
  left.end(content); right.end(content); begin.end(content)
  const all = await Promise.all([left, right, second[1]].map(received))
  await Promise.all(over)
  if (![...all.map(sha256), holds(first)].every((hash) => hash === wanted)) wrong.push('bridge or fan-out')
  console.log(JSON.stringify({ wrong, heard }))
  process.exit()`

/** Signals to every thread of a process, until it ends. Ours take none: the kernel gives them to the others. */
const storm = `
  for (;;) {
    try { for (let i = 0; i < 50; i += 1) process.kill(Number(process.argv[1]), 'SIGUSR1') } catch { process.exit() }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }`

test('each row of the route table, a bridge and a fan-out move every byte in a storm of signals', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', rows], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  assert(child.stdout)
  const told = text(child.stdout)
  // A signal that comes before its handler would end it.
  await within('the handler', once(child, 'message'))
  const sender = spawn(process.execPath, ['--input-type=module', '--eval', storm, String(child.pid)])
  t.teardown(() => {
    sender.kill('SIGKILL')
    child.kill('SIGKILL')
  })
  const { wrong, heard } = JSON.parse(await within('the child', told)) as { wrong: unknown[]; heard: number }
  t.deepEqual(wrong, [])
  t.true(heard > 20, `${heard} signals`)
})
