// What a process holds, as /proc tells: descriptors and threads.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What each open descriptor of a process leads to. */
export function openDescriptors(pid: number | 'self' = 'self'): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      // The one that listed the directory.
      return []
    }
  })
}

/** The names of a process' threads that are ours. */
export function threads(pid: number | 'self' = 'self'): string[] {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim())
    .filter((name) => name.startsWith('zcio'))
}
