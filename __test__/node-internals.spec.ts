// Node's private fields are as zcio reads them, on the Node that runs this. Where this fails on a new version, zcio
// itself refuses and uses streams; the list in src/node-internals.ts says what to look at.

import test from 'ava'
import { internals, pipingInternals } from '#src/node-internals.js'
import { capabilities } from 'zcio'

test("this version of Node is as zcio's shortcuts expect, and capabilities() says so", (t) => {
  t.true(internals)
  t.true(pipingInternals)
  t.true(capabilities().nodeInternals)
})
