// Open files of a test: closed when it is over, with what the kernel says about each.

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { Pipe, type PipeOptions } from 'zcio'
import { makeFile, pathFor } from './files.js'

/** A descriptor that is closed when the test is over. */
export function opened(t: ExecutionContext, path: string, flags: string | number = 'r'): number {
  const fd = openSync(path, flags)
  t.teardown(() => {
    closeSync(fd)
  })
  return fd
}

/** An open file with this content. */
export function source(t: ExecutionContext, content: number | Buffer, parent?: string): number {
  return opened(t, makeFile(content, 'source', parent).path)
}

/** An empty file, open for reading and writing. */
export function sink(t: ExecutionContext, parent?: string): number {
  return opened(t, pathFor('sink', parent), 'w+')
}

/** A pipe that is closed when the test is over. */
export function pipe(t: ExecutionContext, options?: PipeOptions): Pipe {
  const made = new Pipe(options)
  t.teardown(() => {
    made.close()
  })
  return made
}

/** The path of a FIFO. */
export function fifo(): string {
  const path = pathFor('fifo')
  execFileSync('mkfifo', [path])
  return path
}

/** All that a file holds, whatever its position is. */
export function content(fd: number): Buffer {
  return readFileSync(`/proc/self/fd/${fd}`)
}

/** So many bytes of a file from there. */
export function contentAt(fd: number, position: number | bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, readSync(fd, bytes, { position: position as number }))
}

/** Where a descriptor stands. */
export function position(fd: number): number {
  return Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1])
}

/** The status flags of a descriptor, O_NONBLOCK among them. */
export function flags(fd: number): number {
  return Number.parseInt(
    /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '',
    8,
  )
}
