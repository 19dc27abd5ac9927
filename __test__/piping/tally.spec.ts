import test from 'ava'
import { countAside, countRun, tally } from '#src/piping/tally.js'

test('the tally counts runs, their bytes, and why Node read, and gives copies', (t) => {
  const before = tally()
  t.deepEqual(before, { runs: 0, bytes: 0, aside: {} })
  countRun(1000)
  countRun(24)
  countAside('TLS')
  countAside('TLS')
  countAside('SMALL')
  t.deepEqual(tally(), { runs: 2, bytes: 1024, aside: { TLS: 2, SMALL: 1 } })
  t.deepEqual(before.aside, {})
})
