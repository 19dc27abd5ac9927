import test from 'ava'
import { negotiation } from '#src/http/static/encodings.js'

const accepted = negotiation(['br', 'zstd', 'gzip'])

test('of codings that the client likes equally the first of ours is looked for first', (t) => {
  t.deepEqual(accepted('gzip, deflate, br, zstd'), ['br', 'zstd', 'gzip'])
  t.deepEqual(accepted('gzip, br'), ['br', 'gzip'])
  t.deepEqual(accepted('*'), ['br', 'zstd', 'gzip'])
  t.deepEqual(negotiation(['gzip', 'br'])('br, gzip'), ['gzip', 'br'])
})

test("the client's own order comes before ours", (t) => {
  t.deepEqual(accepted('gzip, br;q=0.5'), ['gzip', 'br'])
  t.deepEqual(accepted('gzip;q=0.5, br;q=0.9, *;q=0.1'), ['br', 'gzip', 'zstd'])
})

test('what the client does not want, or wants less than the file as it is, is not looked for', (t) => {
  t.deepEqual(accepted('gzip;q=0, br;q=0'), [])
  t.deepEqual(accepted('identity, gzip;q=0.5'), [])
  t.deepEqual(accepted('identity'), [])
  t.deepEqual(accepted('deflate'), [])
  t.deepEqual(accepted(''), [])
  t.deepEqual(accepted(undefined), [])
  t.deepEqual(accepted('br;q=rubbish, ;;,'), [])
})

test('without files of their own no coding is looked for', (t) => {
  t.deepEqual(negotiation([])('gzip, br'), [])
})

test('any number of different headers is answered', (t) => {
  for (let i = 0; i < 300; i++) t.deepEqual(accepted(`br;q=0.${i + 1}, x-${i}`), ['br'])
})
