// The row of the route table that Node's streams stand in for.

import test, { type ExecutionContext } from 'ava'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { classifySink, classifySource, type Sink, type Source } from '#src/endpoint/classify.js'
import { bestMechanism } from '#src/endpoint/route.js'
import { fifo, opened, pipe, sink, source } from '../helpers/descriptors.js'
import { makeFile, pathFor } from '../helpers/files.js'
import { sockets } from '../helpers/sockets.js'

/** The first mechanism of each cell, as docs/routes.md has them. */
function table(): Record<string, Record<string, string>> {
  const lines = readFileSync('docs/routes.md', 'utf8').split('\n')
  const head = lines.findIndex((line) => line.startsWith('| source |'))
  const cells = (line = ''): string[] => line.split('|').slice(1, -1)
  const kinds = cells(lines[head]).map((cell) => cell.replace('to ', '').trim())
  const rows = lines.slice(head + 2, head + 7).map((line) => {
    const [name = '', ...ladders] = cells(line)
    const first = ladders.map((ladder, at) => [kinds[at + 1], /`(\w+)`/.exec(ladder)?.[1]])
    return [name.replaceAll('*', '').trim(), Object.fromEntries(first) as Record<string, string>] as const
  })
  return Object.fromEntries(rows)
}

const kinds = ['regular file', 'pipe, FIFO', 'stream socket', 'character device', 'other']

async function ends(t: ExecutionContext): Promise<{ kind: string; source: Source; sink: Sink }[]> {
  const { reader, writer } = pipe(t)
  const { path } = makeFile(10)
  const [near, far] = await sockets(t)
  const [file, named] = ['regular file', fifo()]
  const device = opened(t, '/dev/null', 'r+')
  return [
    { kind: file, source: source(t, 10), sink: sink(t) },
    { kind: file, source: createReadStream(path), sink: createWriteStream(pathFor('not yet there')) },
    { kind: 'pipe, FIFO', source: reader, sink: writer },
    { kind: 'pipe, FIFO', source: createReadStream(named), sink: createWriteStream(named) },
    { kind: 'stream socket', source: near, sink: far },
    { kind: 'character device', source: device, sink: device },
    { kind: 'character device', source: createReadStream('/dev/null'), sink: createWriteStream('/dev/null') },
    { kind: 'other', source: new PassThrough(), sink: new PassThrough() },
  ]
}

test('it is the first of its ladder, between ends of every kind', async (t) => {
  const first = table()
  t.deepEqual(Object.keys(first), kinds)
  const all = await ends(t)
  for (const { kind: from, source } of all)
    for (const { kind: to, sink } of all)
      t.is(
        bestMechanism(classifySource(source), classifySink(sink)),
        first[from]?.[to] as never,
        `${from} → ${to}`,
      )
})

test('a descriptor that is not open is left to who uses it', (t) => {
  t.is(bestMechanism(classifySource(0x7fff_ffff), classifySink(0x7fff_ffff)), 'splice')
})
