// The same fan-out by Node's own streams: for ends that have no descriptor, or one that must be left alone.

import { WriteStream } from 'node:fs'
import { constants as os } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { readerOf, writerOf } from './endpoint/stream.js'
import { closed } from './endpoint/wait.js'
import type { SinkOutcome } from './ending.js'
import { abortError, systemError, type Fallback, type TransferError } from './errors.js'
import type { ProgressReport } from './pulse.js'
import type { FanOutResult } from './spread.js'
import { countBytes, countEnd, countStart } from './stats.js'

/** What is wanted. */
export interface StreamFanOut {
  end: boolean | undefined
  sinkTimeout: number
  onSinkError: 'abort' | 'drop'
  signal: AbortSignal | undefined
  onProgress: ((report: ProgressReport) => void) | undefined
}

/** Reads a source and writes each chunk to every sink; the next is read when the slowest has accepted it. */
export async function fanOutByStream(
  source: SourceKind,
  sinks: SinkKind[],
  how: StreamFanOut,
  refused: string,
): Promise<FanOutResult> {
  const { signal, end = true } = how
  const fallbacks: Fallback[] = [{ mechanism: 'splice', code: refused }]
  const reader = readerOf(source, { start: undefined, length: undefined })
  const branches: Branch[] = []
  const progress = { bytes: 0 }
  const stop = (): void => {
    for (const branch of branches) branch.stop()
  }
  signal?.addEventListener('abort', stop)
  countStart(fallbacks)
  try {
    for (const sink of sinks) branches.push(new Branch(sink, end))
    await pour(reader, branches, how, progress)
    countEnd(true)
  } catch (error) {
    countEnd(false)
    for (const { writer } of branches) if (end) writer.destroy()
    if (signal?.aborted) throw abortError(signal, progress)
    throw Object.assign(error as Error, progress, { side: (error as TransferError).side ?? 'source' })
  } finally {
    signal?.removeEventListener('abort', stop)
    for (const { bytes } of branches) countBytes('stream', bytes)
    for (const { isOwn, writer } of branches) if (isOwn) writer.destroy()
    if (end || source.kind === 'descriptor') reader.destroy()
  }
  return { ...progress, sinks: branches.map((branch) => branch.outcome()), fallbacks }
}

async function pour(
  reader: Readable,
  branches: readonly Branch[],
  how: StreamFanOut,
  progress: { bytes: number },
): Promise<void> {
  for await (const chunk of chunksOf(reader, how.signal)) {
    await Promise.all(branches.map((branch) => branch.write(chunk, how.sinkTimeout)))
    how.signal?.throwIfAborted()
    check(branches, how)
    progress.bytes += chunk.length
    how.onProgress?.({ ...progress })
  }
  await Promise.all(branches.map((branch) => branch.end()))
  check(branches, how)
}

/** What a stream gives, to its end. Unlike the stream's own iterator, it leaves the stream alone when it is stopped. */
async function* chunksOf(reader: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  let wake = (): void => undefined
  const onChange = (): void => {
    wake()
  }
  for (const event of CHANGES) reader.on(event, onChange)
  signal?.addEventListener('abort', onChange)
  try {
    while (!reader.readableEnded) {
      signal?.throwIfAborted()
      const changed = new Promise<void>((resolve) => (wake = resolve))
      const chunk: unknown = reader.read()
      if (chunk !== null) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array | string)
      else if (reader.destroyed) throw reader.errored ?? closed('source')
      else await changed
    }
  } finally {
    for (const event of CHANGES) reader.off(event, onChange)
    signal?.removeEventListener('abort', onChange)
  }
}

const CHANGES = ['readable', 'end', 'error', 'close'] as const

/** Throws where a sink has failed that may not, or none is left. */
function check(branches: readonly Branch[], { onSinkError }: StreamFanOut): void {
  const failed = branches.filter(({ error }) => error !== undefined)
  const fatal = failed.find(({ isLate }) => onSinkError === 'abort' && !isLate)
  const [last] = failed.length === branches.length ? failed.slice(-1) : []
  const error = (fatal ?? last)?.error
  if (error) throw error
}

/** One sink. */
class Branch {
  bytes = 0
  error: TransferError | undefined
  isLate = false

  readonly writer: Writable
  /** Made here, of a descriptor. */
  readonly isOwn: boolean
  readonly #ends: boolean
  /** Ends the wait for a write whose callback may never come. */
  #settle: (() => void) | undefined

  constructor(sink: SinkKind, end: boolean) {
    const writer = writerOf(sink, undefined)
    this.writer = writer
    this.isOwn = sink.kind === 'descriptor'
    // A socket of ours that ended would tell the peer that the connection has.
    this.#ends = this.isOwn ? writer instanceof WriteStream : end
    writer.once('error', (error) => {
      this.#fail(error)
    })
    // Stdout is no longer finished when it closes.
    let isFinished = false
    writer.once('finish', () => {
      isFinished = true
    })
    writer.once('close', () => {
      if (!isFinished) this.#fail(closed('sink'))
    })
  }

  /** Resolves when the chunk is accepted, or the sink has failed. */
  async write(chunk: Buffer, timeout: number): Promise<void> {
    if (this.error) return
    const late =
      timeout > 0
        ? setTimeout(() => {
            this.#late()
          }, timeout)
        : undefined
    await new Promise<void>((resolve) => {
      this.#settle = resolve
      this.writer.write(chunk, (error) => {
        if (error) this.#fail(error)
        else if (!this.error) this.bytes += chunk.length
        resolve()
      })
    })
    clearTimeout(late)
  }

  async end(): Promise<void> {
    if (this.error || !this.#ends) return
    this.writer.end()
    await finished(this.writer, { readable: false }).catch((error: unknown) => {
      this.#fail(error as Error)
    })
  }

  /** Waits for nothing any more. */
  stop(): void {
    this.#settle?.()
  }

  outcome(): SinkOutcome {
    const { bytes, error } = this
    return error ? { bytes, mechanism: 'stream', error } : { bytes, mechanism: 'stream' }
  }

  #late(): void {
    this.isLate = true
    this.#fail(systemError(os.errno.ETIMEDOUT, 'write'))
    this.writer.destroy()
  }

  #fail(error: Error): void {
    this.error ??= Object.assign(error, { bytes: this.bytes, side: 'sink' as const })
    this.#settle?.()
  }
}
