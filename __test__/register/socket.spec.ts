import test from 'ava'
import { playTwice } from '../fixtures/piping/play.js'
import { relays } from '../fixtures/piping/relays.js'

// The same relay in plain Node and with zcio/register: applications see the same events and the same bytes.

const playing = playTwice('relays')

for (const [name, { way }] of Object.entries(relays)) {
  test(`a relay: ${name}: as in plain Node`, async (t) => {
    const [plain, zcio] = await playing
    t.deepEqual(zcio[name]?.log, plain[name]?.log)
    t.false(
      zcio[name]?.log.some((line) => /failed|WRONG/.test(line)),
      zcio[name]?.log.join('\n'),
    )
    t.is(plain[name]?.runs, 0, 'plain is plain')
    const { runs = 0, aside = {} } = zcio[name] ?? {}
    const ways: Record<string, number> = { kernel: runs, ...aside }
    t.true((ways[way] ?? 0) > 0, `${way} in ${JSON.stringify(ways)}`)
  })
}
