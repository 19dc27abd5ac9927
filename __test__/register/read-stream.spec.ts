import test from 'ava'
import { journeys } from '../fixtures/piping/journeys.js'
import { midway } from '../fixtures/piping/midway.js'
import { playTwice } from '../fixtures/piping/play.js'

// The same scenario in plain Node and with zcio/register: applications see the same events and the same bytes.

for (const [group, scenarios] of Object.entries({ journeys, midway })) {
  const playing = playTwice(group)

  for (const [name, { way }] of Object.entries(scenarios)) {
    test(`${group}: ${name}: as in plain Node`, async (t) => {
      const [plain, zcio] = await playing
      t.deepEqual(zcio[name]?.log, plain[name]?.log)
      t.false(
        zcio[name]?.log.some((line) => /failed|WRONG/.test(line)),
        zcio[name]?.log.join('\n'),
      )
      t.is(plain[name]?.runs, 0, 'plain is plain')
      const { runs = 0, reads = 0, aside = {} } = zcio[name] ?? {}
      const ways = { kernel: runs, read: reads, none: 1, ...aside }
      t.true(((ways as Record<string, number>)[way] ?? 0) > 0, `${way} in ${JSON.stringify(ways)}`)
    })
  }
}
