// A process that has no descriptor left: the engine cannot have its duplicates, and Node's streams move the bytes.

import test from 'ava'
import { readFileSync } from 'node:fs'
import { tell } from '../helpers/children.js'
import { makeFile, pathFor, sha256 } from '../helpers/files.js'
import { tunnels } from '../helpers/tunnels.js'

const file = makeFile(1_000_001)

/** Ends that are there before the last descriptor is taken. */
const scene = `${tunnels}
  import { bridge, fanOut, isSupported, transfer } from 'zcio'
  import { closeSync, openSync } from 'node:fs'
  // Its binary is loaded when it is first asked.
  if (!process.argv.includes('late')) isSupported()
  const server = await listen()
  const source = openSync(${JSON.stringify(file.path)})
  const content = Buffer.alloc(1_000_001, 'zcio')
  const taken = []
  const takeAll = () => {
    try {
      for (;;) taken.push(openSync('/dev/null'))
    } catch ({ code }) {
      if (code !== 'EMFILE') throw code
    }
  }
  const giveBack = () => taken.splice(0).forEach(closeSync)
  const ahead = async () => {
    const [near, far] = await connected(server)
    near.resume().pause()
    far.write('early, ')
    await until(() => near.readableLength === 7)
    return [near, far]
  }
  const all = sha256(Buffer.concat([Buffer.from('early, '), content]))
  const codes = ({ mechanism, fallbacks }) => [mechanism, ...fallbacks.flatMap(({ mechanism, code }) => [mechanism, code])]`

const before = 'ulimit -n 200'

test('a file goes to a file, and both stay open', async (t) => {
  const path = pathFor('sink')
  const told = await tell(
    `${scene}
    const sink = openSync(${JSON.stringify(path)}, 'w+')
    takeAll()
    const first = await transfer(source, sink, { start: 0 })
    const second = await transfer(source, sink, { start: 0, length: 10, sinkStart: 0 })
    giveBack()
    const third = await transfer(source, sink, { start: 0, sinkStart: 0 })
    console.log(JSON.stringify([codes(first), codes(second), third.mechanism === 'stream', third.bytes]))
    server.close()`,
    { before },
  )
  const byStream = ['stream', 'reflink', 'EMFILE']
  t.deepEqual(told, [byStream, byStream, false, file.bytes.length])
  t.is(sha256(readFileSync(path)), sha256(file.bytes))
})

test('a bridge, a transfer and a fan-out of sockets lose nothing, and go past Node again when they can', async (t) => {
  const told = await tell(
    `${scene}
    const results = []
    for (const isShort of [true, false, true]) {
      const [[a, left], [b, right]] = [await ahead(), await connected(server)]
      const [[from, origin], [to, target]] = [await ahead(), await connected(server)]
      const [[one, begin], [x, xEnd], [y, yEnd]] = [await ahead(), await connected(server), await connected(server)]
      if (isShort) takeAll()
      const moving = [bridge(a, b), transfer(from, to), fanOut(one, [x, y])]
      for (const socket of [left, origin, begin]) socket.end(content)
      right.end('answer')
      const arrived = await Promise.all([right, target, xEnd, yEnd].map(received))
      const answer = await received(left)
      const [{ aToB, bToA }, transferred, spread] = await Promise.all(moving)
      results.push([
        arrived.every((bytes) => sha256(bytes) === all) && String(answer) === 'answer',
        [aToB, bToA, transferred, { ...spread, mechanism: spread.sinks[1].mechanism }].map(codes),
      ])
      giveBack()
    }
    console.log(JSON.stringify(results))
    process.exit()`,
    { before },
  )
  const byStream = Array.from({ length: 4 }, () => ['stream', 'splice', 'EMFILE'])
  const [spliced, copied] = [['splice'], ['read_write', 'splice', 'FEW_PIPES']]
  t.deepEqual(told, [
    [true, byStream],
    [true, [spliced, spliced, spliced, copied]],
    [true, byStream],
  ])
})

test('fallback: false forbids it, and a bare socket, which a stream cannot borrow, is refused as it is', async (t) => {
  const told = await tell(
    `${scene}
    const [[a, left], [b]] = [await ahead(), await connected(server)]
    const [bare, peer] = await connected(server)
    takeAll()
    const code = (promise) => promise.then(() => 'none', ({ code, bytes }) => [code, bytes])
    const refused = [
      await code(transfer(a, b, { fallback: false })),
      await code(transfer(source, bare._handle.fd, { start: 0 })),
    ]
    left.end('late')
    const kept = String(await received(a))
    bare.end('untouched')
    console.log(JSON.stringify([...refused, kept, String(await received(peer))]))
    process.exit()`,
    { before },
  )
  t.deepEqual(told, [['ERR_ZCIO_COPY_REQUIRED', 0], ['EMFILE', 0], 'early, late', 'untouched'])
})

test('a binary that could not be loaded for want of descriptors is loaded when there are some', async (t) => {
  const told = await tell(
    `${scene}
    const [a] = await ahead()
    takeAll()
    const supported = [isSupported()]
    const message = await transfer(source, source).catch(({ message }) => message)
    giveBack()
    supported.push(isSupported())
    console.log(JSON.stringify([supported, message]))
    process.exit()`,
    { before, args: ['late'] },
  )
  t.deepEqual(told, [[false, true], 'zcio does not work here: too many files are open to load its binary'])
})
