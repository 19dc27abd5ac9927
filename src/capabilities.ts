// Where you stand: whether zcio works here, and which of the kernel's calls there are.

import { release } from 'node:os'
import { binding, unavailable } from './binding.js'
import { internals } from './node-internals.js'

/** A call, and why it is missing if it is. */
export interface Capability {
  available: boolean
  /** The kernel's error name where it is not. */
  code?: string
}

/** What this machine offers. */
export interface Capabilities {
  /** Whether the native half could be loaded. */
  supported: boolean
  /** Why not. */
  reason?: string
  /** The running kernel, as uname(2) gives it. */
  kernel: string
  /** Whether this version of Node has the private fields that HTTP responses and sockets are borrowed by. */
  nodeInternals: boolean
  /** Each system call. */
  calls: Record<string, Capability>
  /** Whether a pipe shares a file's pages today: false on a kernel that copies once instead. */
  sharedPages: boolean
  /** Of pipes: most bytes one may have, and the pages of one user before new ones shrink. */
  pipeMaxSize?: number
  pipeUserPagesSoft?: number
}

/** Flags of splice(2), tee(2) and vmsplice(2). */
export const constants = Object.freeze({
  /** A hint that the kernel ignores since 2.6.21. */
  SPLICE_F_MOVE: 1,
  /** Do not wait on the pipe; sockets and files follow their own flags. */
  SPLICE_F_NONBLOCK: 2,
  /** More follows at once: a socket may wait for it, for up to 200 ms. */
  SPLICE_F_MORE: 4,
  /** vmsplice(2): the pages are a gift, and will not be written again. */
  SPLICE_F_GIFT: 8,
})

/** Whether zcio works here. Importing it never throws: not off Linux, not without a binary, not under --permission. */
export function isSupported(): boolean {
  return unavailable() === undefined
}

/** What this machine offers, asked now. */
export function capabilities(): Capabilities {
  const reason = unavailable()
  const common = { kernel: release(), nodeInternals: internals }
  if (reason !== undefined) return { ...common, supported: false, reason, calls: {}, sharedPages: false }
  const { calls, sharedPages, pipeMaxSize, pipeUserPagesSoft } = binding().probe()
  return {
    ...common,
    supported: true,
    calls: Object.fromEntries(
      calls.map(({ name, code }) => [
        name,
        code === undefined ? { available: true } : { available: false, code },
      ]),
    ),
    sharedPages,
    ...(pipeMaxSize === undefined ? {} : { pipeMaxSize }),
    ...(pipeUserPagesSoft === undefined ? {} : { pipeUserPagesSoft }),
  }
}
