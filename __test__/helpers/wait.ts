// Waiting in tests: for what will come, with a word about what did not.

import { setTimeout as sleep } from 'node:timers/promises'

/** A machine can be slow; beyond this it hangs. */
const TOO_LONG = 30_000

/** The promise, or a failure that says what was waited for. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = sleep(TOO_LONG, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${TOO_LONG / 1000} s for ${what}`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}

/** Asks again until the answer is yes. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TOO_LONG
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited ${TOO_LONG / 1000} s for ${what}`)
    await sleep(10)
  }
}

/** How a promise went: what it rejects with is a value. */
export async function outcome<T>(promise: Promise<T>): Promise<{ value?: T; error?: NodeJS.ErrnoException }> {
  try {
    return { value: await within('an outcome', promise) }
  } catch (error) {
    return { error: error as NodeJS.ErrnoException }
  }
}
