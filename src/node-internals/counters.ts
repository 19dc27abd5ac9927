// A socket's own counters, made to include what moves past its handle.

import type { Socket } from 'node:net'
import { handleOf, type Handle } from './socket.js'

type Counter = 'bytesRead' | 'bytesWritten'

/** Bytes that moved past a socket's handle: by what is over, and by what is under way. */
export interface Past {
  done: number
  running: Counted | undefined
}

/** What moves bytes and counts them. */
export interface Counted {
  bytes(): number
}

const pasts = { bytesRead: new WeakMap<object, Past>(), bytesWritten: new WeakMap<object, Past>() }

/** Has the socket's own counter include what moves past it while something runs; {@link countAfter} fixes the number. */
export function countWhile(socket: Socket, counter: Counter, running: Counted): Past | undefined {
  const handle = handleOf(socket)
  if (handle === undefined) return undefined
  const past = pasts[counter].get(handle) ?? extend(handle, counter)
  past.running = running
  return past
}

/** Ends {@link countWhile}. */
export function countAfter(past: Past | undefined, bytes: number): void {
  if (past === undefined) return
  past.done += bytes
  past.running = undefined
}

/** The counters of a socket are accessors that cannot be replaced; those of its handle, which they read, can. */
function extend(handle: Handle, counter: Counter): Past {
  const past: Past = { done: 0, running: undefined }
  Object.defineProperty(handle, counter, accessors[counter])
  pasts[counter].set(handle, past)
  return past
}

/** One for all handles: with a function of its own each would have a hidden class of its own, of 1 KiB. */
const accessors = { bytesRead: accessor('bytesRead'), bytesWritten: accessor('bytesWritten') }

function accessor(counter: Counter): PropertyDescriptor & ThisType<object> {
  return {
    configurable: true,
    get() {
      const past = pasts[counter].get(this)
      const own = Reflect.get(Object.getPrototypeOf(this) as object, counter, this) as number
      return own + (past?.done ?? 0) + (past?.running?.bytes() ?? 0)
    },
  }
}
