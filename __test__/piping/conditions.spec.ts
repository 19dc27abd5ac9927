import test from 'ava'
import { readFileSync } from 'node:fs'
import { CONDITIONS } from '#src/piping/conditions.js'
import { conditions } from '../fixtures/piping/conditions.js'
import { journeys } from '../fixtures/piping/journeys.js'
import { midway } from '../fixtures/piping/midway.js'
import { relays } from '../fixtures/piping/relays.js'
import { playTwice } from '../fixtures/piping/play.js'

const playing = playTwice('conditions')

for (const [name, { way }] of Object.entries(conditions)) {
  test(`Node reads where there is ${name}, and what comes is right`, async (t) => {
    const [plain, zcio] = await playing
    t.deepEqual(zcio[name]?.log, plain[name]?.log)
    t.false(
      zcio[name]?.log.some((line) => /failed|WRONG/.test(line)),
      zcio[name]?.log.join('\n'),
    )
    t.true((zcio[name]?.aside[way] ?? 0) > 0, JSON.stringify(zcio[name]?.aside))
  })
}

/** What no scenario of these can bring about, and who does. */
const elsewhere: Record<string, string> = {
  UNSUPPORTED: '__test__/register/index.spec.ts',
}

test('each condition has its scenario', (t) => {
  const ways = [conditions, journeys, midway, relays].flatMap((group) =>
    Object.values(group).map(({ way }) => way),
  )
  const without = Object.keys(CONDITIONS).filter((reason) => !ways.includes(reason))
  t.deepEqual(without, Object.keys(elsewhere))
  for (const reason of without) t.true(readFileSync(elsewhere[reason] ?? '', 'utf8').includes(reason))
})

test('the table in docs/register.md is the one in the code', (t) => {
  const rows = readFileSync('docs/register.md', 'utf8').matchAll(/^\| `([A-Z_]+)` +\| (.*?) +\|$/gm)
  const table: unknown = Object.fromEntries([...rows].map(([, reason, where]) => [reason, where]))
  t.deepEqual(
    table,
    Object.fromEntries(Object.entries(CONDITIONS).map(([reason, { where }]) => [reason, where])),
  )
})
