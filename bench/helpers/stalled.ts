// A child that answers every request with one large file, or with no more than its head, and tells what it holds.

import { createReadStream, readFileSync, statSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pipeline } from 'zcio'
import { respondWithFile, serveStatic } from 'zcio/http'
import { count, serveMeasured } from './measured.js'

/** What a server holds at a moment. */
export interface Stalled {
  /** Answers that have begun. */
  clients: number
  /** Bytes that all have sent. */
  sent: number
  /** Resident memory, in bytes, and how much of it is V8's heap. */
  rss: number
  heap: number
}

const [kind = 'bare', file = ''] = process.argv.slice(2)
const { size } = statSync(file)
const answers = new Set<ServerResponse>()

const send: Record<string, (res: ServerResponse) => void> = {
  bare: (res) => {
    res.flushHeaders()
  },
  streams: pipe,
  register: pipe,
  pipeline: (res) => void pipeline(createReadStream(file), res).catch(count),
  respondWithFile: (res) => void respondWithFile(res, file).catch(count),
}

function pipe(res: ServerResponse): void {
  createReadStream(file).on('error', count).pipe(res)
}

const serve = serveStatic(dirname(file))
const respond: RequestListener = (req, res) => {
  answers.add(res)
  if (kind === 'serveStatic') {
    serve(req, res)
    return
  }
  res.setHeader('Content-Length', size)
  send[kind]?.(res)
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Touches all of the young generation, some times its 16 MiB, and leaves nothing in it. */
function useUp(): void {
  let garbage: object = {}
  for (let i = 0; i < 1_000_000; i++) garbage = { was: Object.keys(garbage), is: [i, i, i, i] }
}

function stalled(): Stalled {
  useUp()
  collect()
  let sent = 0
  for (const { socket } of answers) sent += socket?.bytesWritten ?? 0
  return {
    clients: answers.size,
    sent,
    rss: resident(),
    heap: getHeapStatistics().total_physical_size,
  }
}

/** To the page: what /proc/self/stat says, as Node does, may be off by some hundred KiB. */
function resident(): number {
  const [, kibibytes = '0'] = /^Rss: +(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

serveMeasured(createServer(respond), { stalled })
