// Files with content that no mistake reproduces, in a directory that goes with the test's process.

import { execFileSync } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TestFile {
  path: string
  bytes: Buffer
}

let made = 0
const directories = new Map<string, string>()

/** A path in the test's own directory on disk, or in memory: there, a file is always resident. */
export function pathFor(name: string, parent = tmpdir()): string {
  let directory = directories.get(parent)
  if (directory === undefined) {
    const created = mkdtempSync(join(parent, 'zcio-test-'))
    process.once('exit', () => {
      rmSync(created, { recursive: true, force: true })
    })
    directories.set(parent, (directory = created))
  }
  return join(directory, `${++made}-${name}`)
}

/** Makes a file of so many bytes, or of these. */
export function makeFile(content: number | Buffer, name = 'file', parent?: string): TestFile {
  const bytes = typeof content === 'number' ? pattern(content) : content
  const path = pathFor(name, parent)
  writeFileSync(path, bytes)
  return { path, bytes }
}

/** Where files live in memory, if this machine has such a place. */
export function memory(): string {
  try {
    accessSync('/dev/shm', constants.W_OK)
    return '/dev/shm'
  } catch {
    return tmpdir()
  }
}

/** So many bytes, the same each time, of which no two stretches are equal. */
export function pattern(size: number, seed = 0): Buffer {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(seed, 0)
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, 'zcio'), iv).update(Buffer.alloc(size))
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Drops a file from the page cache, where its file system can do so. */
export function evict(path: string): void {
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'])
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'])
}
