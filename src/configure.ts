// What the owner of a process may set: limits and switches, for all its threads.

import { binding, unavailable } from './binding.js'
import { checkSettings, type ConfigureOptions } from './settings.js'

/**
 * Sets limits and switches of the process, at any time, from any of its threads. What is under way goes on as it began.
 *
 * Each has a variable as well, read when zcio is first used: `ZCIO_DISK_THREADS`, `ZCIO_INLINE_MAX`,
 * `ZCIO_PIPE_BUDGET`, `ZCIO_DISABLE`; a wrong one is ignored, with a process warning. What is set now, `capabilities()`
 * tells. Where zcio does not work (`isSupported()`), arguments are checked, and nothing is set.
 *
 * @throws TypeError and RangeError that name the option, before anything is set
 */
export function configure(options: ConfigureOptions): void {
  const isHere = unavailable() === undefined
  const settings = checkSettings(options, isHere ? binding().fileSystems() : undefined)
  if (isHere) binding().configure(settings)
}
