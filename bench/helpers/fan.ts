// A child that gives one source to many sinks, by Node's `pipe` to each or by `fanOut`, and tells what it spent. Both
// get the same objects of Node's.

import { constants, createReadStream, createWriteStream, openSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { fanOut } from 'zcio'
import { serveParent } from './children.js'
import { startUsage, type Usage } from './usage.js'

/** Where bytes come from or go to: a port to connect to, or the path of a file or of a FIFO. */
export type Place = { socket: number } | { file: string } | { pipe: string }

export interface Fan {
  source: Place
  sinks: Place[]
}

export type Fanned = Usage & { mechanism: string }

const [kind] = process.argv.slice(2)
const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants

serveParent(async ({ source, sinks }: Fan): Promise<Fanned> => {
  const from = 'file' in source ? createReadStream(source.file) : await open(source, O_RDONLY)
  const to = await Promise.all(
    sinks.map(async (sink) => ('file' in sink ? createWriteStream(sink.file) : open(sink, O_WRONLY))),
  )
  const spent = startUsage()
  if (kind === 'zcio') {
    const result = await fanOut(from, to)
    return { ...spent(), mechanism: [...new Set(result.sinks.map((sink) => sink.mechanism))].join(', ') }
  }
  from.setMaxListeners(0)
  const ends = to.map((sink) => finished(from.pipe(sink), { readable: false }))
  await Promise.all([...ends, finished(from, { writable: false })])
  return { ...spent(), mechanism: 'stream' }
})

async function open(place: Exclude<Place, { file: string }>, mode: number): Promise<Socket> {
  if ('pipe' in place) {
    return new Socket({
      fd: openSync(place.pipe, mode | O_NONBLOCK),
      readable: mode === O_RDONLY,
      writable: mode === O_WRONLY,
    })
  }
  const socket = connect({ port: place.socket, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  if (mode === O_WRONLY) socket.resume()
  return socket
}
