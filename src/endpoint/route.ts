// What the engine would have tried first between two ends that only Node can move bytes between: `fallbacks` says that
// it did not run. The rows are those of docs/routes.md.

import { fstatSync, statSync, type Stats } from 'node:fs'
import type { Mechanism } from '../errors.js'
import type { SinkKind, SourceKind } from './classify.js'

/** The first mechanism of the row of these two ends. */
export function bestMechanism(source: SourceKind, sink: SinkKind): Mechanism {
  if (kindOf(source) !== 'file') return 'splice'
  return ({ file: 'reflink', pipe: 'splice', other: 'sendfile' } as const)[kindOf(sink)]
}

function kindOf(end: SourceKind | SinkKind): 'file' | 'pipe' | 'other' {
  if (end.kind === 'descriptor') return kindIn(() => fstatSync(end.fd)) ?? 'other'
  if (end.kind !== 'file') return 'other'
  const { fd } = end.stream as unknown as { fd: number | null }
  // What is not there yet will be created, as a file.
  return kindIn(() => (fd === null ? statSync(end.stream.path) : fstatSync(fd))) ?? 'file'
}

/** Nothing where the kernel will not say: who uses the end will be told why. */
function kindIn(ask: () => Stats): ReturnType<typeof kindOf> | undefined {
  try {
    const stats = ask()
    return stats.isFile() ? 'file' : stats.isFIFO() ? 'pipe' : 'other'
  } catch {
    return undefined
  }
}
