// How things fail: as values, so that a test can look at all of an error at once.

import type { TransferError } from 'zcio'
import { outcome } from './wait.js'

/** What a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<TransferError> {
  const { error, value } = await outcome(promise)
  if (error === undefined) throw new Error(`it did not fail, but gave ${JSON.stringify(value)}`)
  return error as TransferError
}

/** What a call throws. */
export function thrown(call: () => unknown): NodeJS.ErrnoException {
  let value: unknown
  try {
    value = call()
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
  throw new Error(`it did not throw, but gave ${String(value)}`)
}

/** What an error of the kernel tells, in Node's words. */
export function told({ code, errno, syscall, message }: NodeJS.ErrnoException): object {
  return { code, errno, syscall, message }
}
