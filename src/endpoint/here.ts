// Whether this process can lend anything of Node's at all.

import { unavailable } from '../binding.js'
import { internals } from '../node-internals.js'

/** Why Node itself has to move the bytes of every stream, socket and response here, or undefined. */
export function refusedHere(): string | undefined {
  if (unavailable() !== undefined) return 'UNSUPPORTED'
  return internals ? undefined : 'NODE_INTERNALS'
}
