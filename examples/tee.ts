// Duplicates standard input to standard output and into a file, as tee(1) does; but no byte enters user space:
// tee(2) duplicates what is in the one pipe into the other, splice(2) then takes it out, into the file.
//
//   PROGRAM | node --import @oxc-node/core/register examples/tee.ts FILE | PROGRAM

import { constants, fstatSync, openSync } from 'node:fs'
import { spliceSync, teeSync } from 'zcio'

/** More than any pipe holds: what there is. */
const ALL = 0x7fff_f000

let [source, sink] = [0, 1]
let total = 0

const [path] = process.argv.slice(2)
if (path === undefined) fail(2, 'usage: PROGRAM | tee FILE | PROGRAM')
if (!fstatSync(source).isFIFO()) fail(1, 'standard input is not a pipe')
if (!fstatSync(sink).isFIFO()) fail(1, 'standard output is not a pipe')
try {
  const file = openSync(path, 'w')
  for (let count; (count = duplicate()) > 0;) consume(file, count)
  console.error(`${total} bytes`)
} catch (error) {
  fail(1, `${(error as Error).message} (after ${total} bytes)`)
}

/** Returns how much both pipes now have; 0 when the input is at its end. */
function duplicate(): number {
  try {
    return teeSync(source, sink, ALL)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    // One of the two was handed to us nonblocking, and its flags are not ours to change: others share them. The same
    // pipes opened again have flags of their own, and the kernel waits for whichever side is not ready.
    source = openSync('/proc/self/fd/0', constants.O_RDONLY)
    sink = openSync('/proc/self/fd/1', constants.O_WRONLY)
    return teeSync(source, sink, ALL)
  }
}

/** Takes out exactly what was duplicated: more would miss in the output, less would come twice. */
function consume(file: number, count: number): void {
  for (let left = count; left > 0;) {
    const moved = spliceSync(source, null, file, null, left)
    if (moved === 0) throw new Error('somebody else reads the same input')
    left -= moved
    total += moved
  }
}

function fail(code: number, why: string): never {
  console.error(`tee: ${why}`)
  process.exit(code)
}
