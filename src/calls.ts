// Single calls that may have to wait: attempted at once, else the engine's, and their promises settled here.
//
// One native Calls per JavaScript thread, made by the first call. What is called, and with what, is primitives.ts'
// and pages.ts'.

import { constants as os } from 'node:os'
import type { NativeCallEnding, NativeCallFailure, NativeCalls } from './binding.js'
import { systemError, zcioError, type Side } from './errors.js'
import { holdProcess, letGoOfProcess } from './hold-process.js'
import { quietBinding } from './quiet.js'

/** What a call is made on: a descriptor, or an object that has one, which is kept from the collector meanwhile. */
type End = number | { readonly fd: number }

/** Bytes moved, why not, or `null` for a call that is under way. */
export type Answer = number | NativeCallFailure | null

interface Pending {
  syscall: string
  ends: readonly End[]
  resolve: (bytes: number) => void
  reject: (error: Error) => void
}

let native: NativeCalls | undefined
let lastId = 0
const pending = new Map<number, Pending>()

/** Makes a call by `attempt`. Bytes it moved at once; a promise of them where it has to wait. Throws why it failed. */
export function make(
  syscall: string,
  ends: readonly End[],
  attempt: (calls: NativeCalls, id: number) => Answer,
): number | Promise<number> {
  const { Calls } = quietBinding()
  native ??= new Calls(settle)
  lastId = (lastId + 1) >>> 0
  const id = lastId
  const answer = attempt(native, id)
  if (typeof answer === 'number') return answer
  if (answer !== null) throw explain(syscall, answer)
  holdProcess()
  return new Promise((resolve, reject) => pending.set(id, { syscall, ends, resolve, reject }))
}

/** Tells the calls on a descriptor that is about to be closed to stop: they reject with ECANCELED. */
export function cancelCalls(fd: number): void {
  for (const [id, { ends }] of pending) {
    if (ends.some((end) => (typeof end === 'number' ? end : end.fd) === fd)) native?.cancel(id)
  }
}

function settle(endings: NativeCallEnding[]): void {
  for (const { id, bytes, failure } of endings) {
    const call = pending.get(id)
    pending.delete(id)
    if (failure === undefined) call?.resolve(bytes)
    else call?.reject(explain(call.syscall, failure))
    letGoOfProcess()
  }
}

function explain(syscall: string, { cause, errno, detail, side, bytes }: NativeCallFailure): Error {
  const details = side === undefined ? { bytes } : { bytes, side: side as Side }
  switch (cause) {
    case 'SYSTEM':
      return systemError(errno ?? 0, detail ?? syscall, details)
    case 'CANCELED':
      return systemError(os.errno.ECANCELED, syscall, details)
    case 'BUSY':
      return zcioError(
        'ERR_ZCIO_BUSY',
        'another call or transfer is under way on this pipe or socket in this direction; await it first',
        details,
      )
    case 'BLOCKING':
      return zcioError(
        'ERR_ZCIO_UNSUPPORTED',
        `The "${side ?? ''}" argument must be nonblocking, for ${syscall} would wait on it in the kernel. ` +
          'Use an end of a Pipe, a descriptor with O_NONBLOCK, or transfer',
        details,
      )
    default:
      return zcioError(
        'ERR_ZCIO_UNSUPPORTED',
        `The "${side ?? ''}" argument must be a stream of bytes or a file, not ${detail ?? cause}`,
        details,
      )
  }
}
