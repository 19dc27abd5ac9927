// A relay whose pipe is full: the sink takes nothing any more when the source ends.

import test from 'ava'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { stats, transfer } from 'zcio'
import { pattern, sha256 } from '../helpers/files.js'
import { received, sockets, type Family } from '../helpers/sockets.js'

const all = pattern(64 << 20)
const CHUNK = 16 << 10

for (const family of ['tcp', 'unix'] as Family[]) {
  test.serial(`an end behind a full pipe is found when the sink reads again: ${family}`, async (t) => {
    const [[from, near], [to, far]] = await Promise.all([sockets(t, family), sockets(t, family)])
    const over = transfer(from, to)
    let sent = 0
    do near.write(all.subarray(sent, (sent += CHUNK)))
    while (await isTaken(from, sent))
    t.true(stats().pipes > 0, 'bytes wait in a pipe')
    near.end()
    const came = await received(far)
    t.is(sha256(came), sha256(all.subarray(0, sent)))
    t.like(await over, { bytes: sent, mechanism: 'splice' })
  })
}

/** Whether so many bytes are taken from a socket, before too long. */
async function isTaken(socket: Socket, bytes: number): Promise<boolean> {
  for (let i = 0; i < 30 && socket.bytesRead < bytes; i++) await sleep(10)
  return socket.bytesRead === bytes
}
