import test from 'ava'
import { journeys } from '../fixtures/piping/journeys.js'
import { midway } from '../fixtures/piping/midway.js'
import { asInPlainNode, playTwice } from '../fixtures/piping/play.js'

// The same scenario in plain Node and with zcio/register: applications see the same events and the same bytes.

for (const [group, scenarios] of Object.entries({ journeys, midway })) {
  const playing = playTwice(group)

  for (const [name, { way }] of Object.entries(scenarios)) {
    test(`${group}: ${name}: as in plain Node`, async (t) => {
      asInPlainNode(t, name, way, await playing)
    })
  }
}
