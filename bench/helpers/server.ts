// A child that serves the files of one directory, by Node's streams or by zcio, and tells what that cost it.
//
// The streams are given every advantage: the lengths of the files are known beforehand, which saves them a stat for
// each request; zcio opens and asks anew each time.

import { createReadStream, readdirSync, statSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { respondWithFile } from 'zcio/http'
import { count, serveMeasured } from './measured.js'

const [kind, root = '.'] = process.argv.slice(2)
const lengths = new Map(readdirSync(root).map((name) => [name, statSync(join(root, name)).size]))

const respond = kind === 'zcio' ? respondByZcio : respondByStreams
const server = createServer((req, res) => {
  const name = req.url?.slice(1) ?? ''
  const length = lengths.get(name)
  if (length === undefined) res.writeHead(404).end()
  else respond(res, join(root, name), length)
})

function respondByStreams(res: ServerResponse, path: string, length: number): void {
  res.setHeader('Content-Length', length)
  createReadStream(path)
    .on('error', (error) => {
      count(error)
      res.destroy()
    })
    .pipe(res)
}

function respondByZcio(res: ServerResponse, path: string): void {
  respondWithFile(res, path).then(({ mechanism, fallbacks }) => {
    count(mechanism)
    for (const fallback of fallbacks) count(`not ${fallback.mechanism}: ${fallback.code}`)
  }, count)
}

serveMeasured(server)
