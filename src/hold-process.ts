// What keeps the process alive while bytes move elsewhere.
//
// The threadsafe functions of the binding never hold Node's event loop: an idle engine must not keep a process from
// ending. A timer that never fires does, and only while something is under way.

// Not the global one, which is a test's own while it mocks timers: that holds nothing.
import { setInterval } from 'node:timers'

let timer: NodeJS.Timeout | undefined
let held = 0

/** Something is under way that the event loop has to wait for. */
export function holdProcess(): void {
  held += 1
  timer ??= setInterval(() => undefined, 0x7fff_ffff)
  if (held === 1) timer.ref()
}

/** It is over. */
export function letGoOfProcess(): void {
  held -= 1
  if (held === 0) timer?.unref()
}
