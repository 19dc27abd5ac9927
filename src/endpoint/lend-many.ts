// A source and many sinks, lent together: all of them, or none.

import { isRefusal, type TransferError } from '../errors.js'
import type { SinkKind, SourceKind } from './classify.js'
import { lendSink, lendSource } from './lend.js'
import { giveBackHead, type LentSink, type LentSource, type Refused } from './lent.js'

/** Ends that the engine may use. */
export interface LentMany {
  source: LentSource
  sinks: LentSink[]
}

/** Borrows all; `livesOn`: the source is not destroyed should that fail, and gets back what Node had read of it. */
export async function lendMany(
  source: SourceKind,
  sinks: readonly SinkKind[],
  signal: AbortSignal | undefined,
  livesOn: boolean,
): Promise<LentMany | Refused> {
  const lentSource = await lendSource(source, undefined, signal)
  if ('refused' in lentSource) return lentSource
  const lentSinks: LentSink[] = []
  try {
    for (const kind of sinks) {
      const sink = await lendOne(kind, signal)
      if ('refused' in sink) {
        release(lentSinks)
        lentSource.giveBack?.(lentSource.head)
        return sink
      }
      lentSinks.push(sink)
    }
  } catch (error) {
    release(lentSinks)
    throw giveBackHead(lentSource, error as TransferError, livesOn || isRefusal(error as TransferError))
  }
  return { source: lentSource, sinks: lentSinks }
}

/** Gives sinks back as they are. */
export function release(sinks: readonly LentSink[]): void {
  for (const sink of sinks) sink.release()
}

/** At an offset only Node writes: the engine has one source for all, and no offsets. */
async function lendOne(kind: SinkKind, signal: AbortSignal | undefined): Promise<LentSink | Refused> {
  const sink = await lendSink(kind, signal)
  if ('refused' in sink || sink.start === undefined) return sink
  sink.release()
  return { refused: 'SINK_START' }
}
