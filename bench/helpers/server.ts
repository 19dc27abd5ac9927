// A child that serves the files of one directory in one of several ways, and tells what that cost it.
//
// The streams are given every advantage: the lengths of the files are known beforehand, which saves them a stat for
// each request; zcio and the others open and ask anew each time. Each loads only itself: the buffers of streams have V8
// collect all of its heap often, which costs more the more there is in it.

import { createReadStream, readdirSync, statSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { TransferResult } from 'zcio'
import { count, serveMeasured } from './measured.js'

const [kind = 'streams', root = '.'] = process.argv.slice(2)
const lengths = new Map(readdirSync(root).map((name) => [name, statSync(join(root, name)).size]))

/** By kind; `zcio` is respondWithFile. With zcio/register, which the parent asks for, express stays as it is here. */
const listeners: Record<string, () => RequestListener | Promise<RequestListener>> = {
  streams: () => answering(respondByStreams),
  zcio: async () => answering(respondBy((await import('zcio/http')).respondWithFile)),
  serveStatic: async () => (await import('zcio/http')).serveStatic(root),
  send: async () => {
    const { default: send } = await import('send')
    return (req, res) => send(req, req.url ?? '/', { root }).pipe(res)
  },
  express: async () => {
    const { default: express } = await import('express')
    return express().use(express.static(root))
  },
}

serveMeasured(createServer(await listeners[kind]?.()))

function answering(respond: (res: ServerResponse, path: string, length: number) => void): RequestListener {
  return (req, res) => {
    const name = req.url?.slice(1) ?? ''
    const length = lengths.get(name)
    if (length === undefined) res.writeHead(404).end()
    else respond(res, join(root, name), length)
  }
}

function respondByStreams(res: ServerResponse, path: string, length: number): void {
  res.setHeader('Content-Length', length)
  createReadStream(path)
    .on('error', (error) => {
      count(error)
      res.destroy()
    })
    .pipe(res)
}

function respondBy(respondWithFile: typeof import('zcio/http').respondWithFile) {
  return (res: ServerResponse, path: string): void => {
    respondWithFile(res, path).then(countResult, count)
  }
}

/** One function for all: what a slow reader costs is to be zcio's. */
function countResult({ mechanism, fallbacks }: TransferResult): void {
  count(mechanism)
  for (const fallback of fallbacks) count(`not ${fallback.mechanism}: ${fallback.code}`)
}
