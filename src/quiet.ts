// The calls that move bytes may raise SIGPIPE and SIGXFSZ, which must not reach the application. To block them around
// each single call takes two system calls more, as long as most of the calls themselves; so they are blocked by the
// first call of a turn of the event loop, and let through again when the turn ends.

import { nextTick } from 'node:process'
import { binding, type Native } from './binding.js'

/** While the signals are blocked. */
let quiet: Native | undefined

/** The binding, for calls of this turn. */
export function quietBinding(): Native {
  return (quiet ??= keepQuiet(binding()))
}

function keepQuiet(native: Native): Native {
  native.beginQuiet()
  nextTick(() => {
    quiet = undefined
    native.endQuiet()
  })
  return native
}
