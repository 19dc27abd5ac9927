// A temporary directory that never outlives the process, files of random bytes in it, and their eviction from the
// page cache.

import { spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const KiB = 1024
export const MiB = 1024 * KiB

/** Makes a directory that is removed when this process ends, by itself, by an error or by a signal. */
export function temporaryDirectory(parent = tmpdir()): string {
  const directory = mkdtempSync(join(parent, 'zcio-'))
  process.on('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(1))
  }
  return directory
}

/** Writes a file whose bytes are nowhere alike, so that none can be lost or moved unseen. */
export function writeRandomFile(path: string, size: number, sync = false): void {
  const block = Buffer.allocUnsafe(Math.min(size, MiB))
  const fd = openSync(path, 'wx')
  try {
    for (let written = 0; written < size;) {
      randomFillSync(block)
      written += writeSync(fd, block, 0, Math.min(block.length, size - written))
    }
    if (sync) fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Takes files out of the page cache, which they must be in unmodified; false where GNU dd is missing. */
export function evict(paths: string[]): boolean {
  // iflag=nocache is posix_fadvise(POSIX_FADV_DONTNEED); with count=0 for the whole file, and nothing else.
  const script = 'for file; do dd if="$file" iflag=nocache count=0 status=none || exit; done'
  return spawnSync('sh', ['-c', script, 'evict', ...paths], { stdio: 'ignore' }).status === 0
}

/** A size in the words of the tables: 4 KiB, 16 MiB. */
export function sizeName(bytes: number): string {
  if (bytes >= 1024 * MiB) return `${bytes / MiB / 1024} GiB`
  return bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / KiB} KiB`
}
