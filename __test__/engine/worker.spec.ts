// A worker that is terminated in the middle of bridges and fan-outs: its peers hear of it, nothing stays, others go on.

import test from 'ava'
import { tell } from '../helpers/children.js'
import { tunnels } from '../helpers/tunnels.js'

/** In the worker: bridges and a fan-out between connections to the ports it was given, and word once they move. */
const worker = `
  const { connect } = require('node:net')
  const { once } = require('node:events')
  const { parentPort, workerData: port } = require('node:worker_threads')
  const open = async () => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }
  ;(async () => {
    const { bridge, fanOut } = await import('zcio')
    const ends = []
    for (let i = 0; i < 5; i += 1) ends.push(await open())
    const [a, b, source, x, y] = ends
    bridge(a, b)
    fanOut(source, [x, y])
    const timer = setInterval(() => {
      if (b.bytesWritten > 100_000 && x.bytesWritten > 100_000) clearInterval(timer), parentPort.postMessage('moving')
    }, 5)
  })()`

test('its peers hear of its end, no descriptor stays, and the bridges of other threads go on', async (t) => {
  const told = await tell(`${tunnels}
    import { readdirSync } from 'node:fs'
    import { Worker } from 'node:worker_threads'
    import { bridge, stats } from 'zcio'
    const open = () => readdirSync('/proc/self/fd').length
    const server = await listen()
    const [[left, a], [b, right]] = [await connected(server), await connected(server)]
    const over = bridge(a, b)
    left.write('before, ')
    await until(() => right.read(0) === null && right.readableLength === 8)
    const counts = []
    for (let round = 0; round < 3; round += 1) {
      const peers = []
      const onConnection = (socket) => peers.push(socket)
      server.on('connection', onConnection)
      const thread = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [], workerData: server.address().port })
      await until(() => peers.length === 5)
      server.off('connection', onConnection)
      const closed = peers.map((socket) => {
        socket.on('error', () => undefined).once('end', () => socket.destroy()).resume()
        return new Promise((resolve) => socket.once('close', resolve))
      })
      const timer = setInterval(() => {
        for (const at of [0, 2]) if (peers[at].writableLength < 1 << 20) peers[at].write(Buffer.alloc(1 << 16))
      }, 1)
      await once(thread, 'message')
      await thread.terminate()
      await Promise.all(closed)
      clearInterval(timer)
      await until(() => stats().transfers.active === 2 && stats().pipes === 0)
      counts.push(open())
    }
    left.end('and after')
    const heard = String(await received(right))
    right.end()
    left.resume()
    const { aToB } = await over
    console.log(JSON.stringify({ leak: counts[2] - counts[0], heard, bytes: aToB.bytes }))
    process.exit()`)
  t.deepEqual(told, { leak: 0, heard: 'before, and after', bytes: 17 })
})
