import test from 'ava'
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import {
  declaredLength,
  markHeadSent,
  pendingHead,
  prepareHeaders,
  writePreparedHead,
} from '#src/node-internals.js'

function response(): ServerResponse {
  const req = new IncomingMessage(new Socket())
  Object.assign(req, { method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 })
  return new ServerResponse(req)
}

test('a composed head is pending until it has been sent', (t) => {
  const res = response()
  t.is(pendingHead(res), undefined)
  res.writeHead(207, 'Odd', { 'X-Test': 'ä', 'Content-Length': 3 })
  const head = pendingHead(res) ?? ''
  t.true(head.startsWith('HTTP/1.1 207 Odd\r\nX-Test: ä\r\nContent-Length: 3\r\n'))
  t.true(head.endsWith('\r\n\r\n'))
  markHeadSent(res)
  t.is(pendingHead(res), undefined)
})

test('what a composed head declares is known', (t) => {
  t.is(declaredLength(response().writeHead(200, { 'Content-Length': 12 })), 12)
  t.is(Number(declaredLength(response().writeHead(200, { 'content-length': '12' }))), 12)
  t.is(declaredLength(response().writeHead(200, { 'Content-Length': 0 })), 0)
  t.is(declaredLength(response().writeHead(200)), undefined)
})

const prepared = prepareHeaders([
  ['X-Name', 'value'],
  ['Content-Length', 3],
])

test('a prepared head is what Node would have made of the same headers', (t) => {
  const [one, other] = [response(), response()]
  for (const res of [one, other]) res.sendDate = false
  one.statusCode = 201
  writePreparedHead(one, prepared)
  other.writeHead(201, { 'X-Name': 'value', 'Content-Length': 3 })
  t.is(pendingHead(one), pendingHead(other))
  t.is(declaredLength(one), 3)
})

test('its headers are known to whoever asks the response for them later', (t) => {
  const res = response()
  writePreparedHead(res, prepared)
  t.is(res.getHeader('x-NAME'), 'value')
  t.deepEqual(res.getHeaderNames(), ['x-name', 'content-length'])
  t.deepEqual({ ...res.getHeaders() }, { 'x-name': 'value', 'content-length': 3 })
  t.true(res.hasHeader('Content-Length'))
  t.is(res.getHeader('constructor'), undefined)
})

test('nobody can change them for others', (t) => {
  const res = response()
  writePreparedHead(res, prepared)
  t.throws(() => res.setHeader('X-Name', 'other'), { code: 'ERR_HTTP_HEADERS_SENT' })
  t.throws(
    () => {
      res.removeHeader('X-Name')
    },
    { code: 'ERR_HTTP_HEADERS_SENT' },
  )
  t.throws(() => res.appendHeader('X-Name', 'other'), { code: 'ERR_HTTP_HEADERS_SENT' })
  const failed = response()
  failed.statusMessage = 'not\nallowed'
  t.throws(
    () => {
      writePreparedHead(failed, prepared)
    },
    { code: 'ERR_INVALID_CHAR' },
  )
  t.deepEqual(failed.getHeaderNames(), [])
  failed.setHeader('X-Name', 'mine')
  const next = response()
  writePreparedHead(next, prepared)
  t.is(next.getHeader('X-Name'), 'value')
})
