// Where you stand: whether zcio works here, and which of the kernel's calls there are.

import { release } from 'node:os'
import { binding, unavailable } from './binding.js'
import type { Mechanism } from './errors.js'
import { internals } from './node-internals.js'
import type { Settings } from './settings.js'

/** A call or a mechanism, and why it is missing if it is. */
export interface Capability {
  available: boolean
  /** The kernel's error name where it is not; `SWITCHED_OFF` for a mechanism that `configure` has switched off. */
  code?: string
  /** The same in words. */
  reason?: string
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
  /** Each system call, asked with arguments that it must refuse. */
  calls: Record<string, Capability>
  /** Each mechanism; whether it fits two given ends, `plan` tells. */
  mechanisms: Record<Mechanism, Capability>
  /** Whether a pipe shares a file's pages today: false on a kernel that copies once instead. */
  sharedPages: boolean
  /** Of pipes: most bytes one may have, and the pages of one user before new ones shrink. */
  pipeMaxSize?: number
  pipeUserPagesSoft?: number
  /** What `configure` and the environment have set, or the defaults; absent where zcio does not work. */
  settings?: Settings
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
  if (reason !== undefined) {
    const mechanisms = withoutBinding(reason)
    return { ...common, supported: false, reason, calls: {}, mechanisms, sharedPages: false }
  }
  const settings = binding().settings() as Settings
  const { calls, sharedPages, pipeMaxSize, pipeUserPagesSoft } = binding().probe()
  const found = Object.fromEntries(calls.map(({ name, code }) => [name, capability(code)]))
  return {
    ...common,
    supported: true,
    calls: found,
    mechanisms: mechanismsOf(found, settings),
    sharedPages,
    ...(pipeMaxSize === undefined ? {} : { pipeMaxSize }),
    ...(pipeUserPagesSoft === undefined ? {} : { pipeUserPagesSoft }),
    settings,
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSYS: 'the kernel has no such call',
  ENOTTY: 'the kernel has no such request of ioctl(2)',
  EPERM: 'a sandbox, such as a seccomp filter, forbids it',
  EMFILE: 'the process has no descriptors left to ask with',
}

const AVAILABLE: Capability = Object.freeze({ available: true })

function capability(code: string | undefined): Capability {
  if (code === undefined) return AVAILABLE
  return { available: false, code, reason: REASONS[code] ?? 'the kernel refuses' }
}

/** The call that each is made of. */
const CALLS = {
  reflink: 'ioctl_ficlonerange',
  copy_file_range: 'copy_file_range',
  sendfile: 'sendfile',
  splice: 'splice',
} as const

function mechanismsOf(calls: Record<string, Capability>, { disable }: Settings): Capabilities['mechanisms'] {
  const of = (mechanism: keyof typeof CALLS): Capability => {
    const isOff = disable.some((off) => off.mechanism === mechanism && off.fileSystem === undefined)
    if (!isOff) return calls[CALLS[mechanism]] ?? calls.pipe2 ?? AVAILABLE
    return {
      available: false,
      code: 'SWITCHED_OFF',
      reason: 'configure() or ZCIO_DISABLE has switched it off',
    }
  }
  return {
    reflink: of('reflink'),
    copy_file_range: of('copy_file_range'),
    sendfile: of('sendfile'),
    splice: of('splice'),
    read_write: AVAILABLE,
    stream: AVAILABLE,
  }
}

function withoutBinding(reason: string): Capabilities['mechanisms'] {
  const missing = { available: false, reason }
  return {
    reflink: missing,
    copy_file_range: missing,
    sendfile: missing,
    splice: missing,
    read_write: missing,
    stream: AVAILABLE,
  }
}
