import test from 'ava'
import etagOf from 'etag'
import { Stats, statSync } from 'node:fs'
import type { Body } from '#src/http/body.js'
import type { Candidate, Plan } from '#src/http/static/candidate.js'
import { headOf, judge } from '#src/http/static/head.js'
import { checkSettings } from '#src/http/static/options.js'
import { plan, sibling } from '#src/http/static/path.js'
import { makeFile } from '../../helpers/files.js'

const settings = checkSettings('.', {})

function candidateOf(pathname: string): Candidate {
  const [candidate] = (plan(pathname, settings) as Plan).candidates
  if (candidate === undefined) throw new Error('there is a candidate')
  return candidate
}

const body = (length: number, modifiedMs: number): Body => ({
  fd: -1,
  owner: 'caller',
  handle: undefined,
  start: 0,
  length,
  modifiedMs,
  read: true,
  resident: false,
  wanted: undefined,
})

test('the ETag is that of the package etag', (t) => {
  const stat = statSync(makeFile(1234).path)
  t.true(stat instanceof Stats)
  const head = headOf(candidateOf('/a.txt'), body(stat.size, stat.mtimeMs), settings)
  t.is(head.etag, etagOf(stat))
  t.is(head.lastModified, stat.mtime.toUTCString())
})

test('a head is made once, and anew when the file has changed', (t) => {
  const candidate = candidateOf('/a.txt')
  const first = headOf(candidate, body(10, 1000), settings)
  t.is(headOf(candidate, body(10, 1000), settings), first)
  const longer = headOf(candidate, body(11, 1000), settings)
  t.deepEqual(longer.whole['content-length'], ['Content-Length', 11])
  const later = headOf(candidate, body(11, 2000), settings)
  t.not(later.etag, longer.etag)
  t.not(later.lastModified, longer.lastModified)
})

test('each coding of a file has an ETag of its own', (t) => {
  const original = candidateOf('/a.txt')
  const compressed = sibling(original, 'br')
  const heads = [original, compressed].map((candidate) => headOf(candidate, body(10, 1000), settings))
  t.is(new Set(heads.map(({ etag }) => etag)).size, 2)
  t.deepEqual(
    heads.map(({ whole }) => whole['content-encoding']?.[1]),
    [undefined, 'br'],
  )
})

test('a condition on a validator that the head does not have is judged as if it were never met', (t) => {
  const nothing = { etag: undefined, lastModified: undefined }
  const verdict = (headers: Record<string, string>): unknown => judge(headers, 200, nothing, 10, true)
  t.is(verdict({ 'if-match': '*' }), 412)
  t.is(verdict({ 'if-none-match': '"x"' }), 200)
  t.is(verdict({ 'if-unmodified-since': new Date().toUTCString() }), 412)
  t.is(verdict({ 'if-modified-since': new Date().toUTCString() }), 200)
  t.is(verdict({ range: 'bytes=0-1', 'if-range': '"x"' }), 200)
  t.deepEqual(verdict({ range: 'bytes=0-1' }), { start: 0, end: 1 })
})

test('only a response that may be kept is 304', (t) => {
  const known = { etag: '"x"', lastModified: undefined }
  const verdict = (status: number): unknown => judge({ 'if-none-match': '"x"' }, status, known, 10, true)
  for (const status of [200, 206, 304]) t.is(verdict(status), 304)
  for (const status of [404, 500]) t.is(verdict(status), 200)
})
