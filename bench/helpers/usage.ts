// What this process spends between two moments: the same figures for every suite that measures itself.

import { performance } from 'node:perf_hooks'

export interface Usage {
  /** ms between the two. */
  wall: number
  /** User and system time of all threads, in µs. */
  cpu: number
  /** Part of the time in which the event loop was busy. */
  loop: number
}

/** Starts to measure; the function that is returned tells what was spent since. */
export function startUsage(): () => Usage {
  const [cpu, loop, started] = [process.cpuUsage(), performance.eventLoopUtilization(), performance.now()]
  return () => {
    const wall = performance.now() - started
    const { user, system } = process.cpuUsage(cpu)
    return { wall, cpu: user + system, loop: performance.eventLoopUtilization(loop).utilization }
  }
}
