import test from 'ava'
import { asInPlainNode, playTwice } from '../fixtures/piping/play.js'
import { relays } from '../fixtures/piping/relays.js'

// The same relay in plain Node and with zcio/register: applications see the same events and the same bytes.

const playing = playTwice('relays')

for (const [name, { way }] of Object.entries(relays)) {
  test(`a relay: ${name}: as in plain Node`, async (t) => {
    asInPlainNode(t, name, way, await playing)
  })
}
