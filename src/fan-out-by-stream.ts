// The same fan-out by Node's own streams: for ends that have no descriptor, or one that must be left alone.

import { constants as os } from 'node:os'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { readerOf, writerOf } from './endpoint/stream.js'
import type { SinkOutcome } from './engine.js'
import { abortError, systemError, type TransferError } from './errors.js'
import type { ProgressReport } from './pulse.js'

/** What a fan-out came to. */
export interface FanOutResult {
  /** Bytes taken from the source and accepted by every sink that stayed. */
  bytes: number
  /** Each sink, in the order given: what it accepted, how, and why it was left out. */
  sinks: SinkOutcome[]
}

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
): Promise<FanOutResult> {
  const { signal, end = true, onProgress } = how
  const reader = readerOf(source, { start: undefined, length: undefined })
  const branches = sinks.map(
    (sink) => new Branch(writerOf(sink, undefined), sink.kind === 'descriptor' || end),
  )
  let bytes = 0
  const stop = (): void => {
    reader.destroy()
  }
  signal?.addEventListener('abort', stop)
  try {
    for await (const chunk of reader as AsyncIterable<Buffer>) {
      await Promise.all(branches.map((branch) => branch.write(chunk, how.sinkTimeout)))
      check(branches, how)
      bytes += chunk.length
      onProgress?.({ bytes })
    }
    await Promise.all(branches.map((branch) => branch.end()))
    check(branches, how)
  } catch (error) {
    for (const { writer } of branches) if (end) writer.destroy()
    if (signal?.aborted) throw abortError(signal, { bytes })
    throw Object.assign(error as Error, { bytes, side: (error as TransferError).side ?? 'source' })
  } finally {
    signal?.removeEventListener('abort', stop)
    if (end || source.kind === 'descriptor') reader.destroy()
  }
  return { bytes, sinks: branches.map((branch) => branch.outcome()) }
}

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
  readonly #ends: boolean
  /** Ends the wait for a write whose callback may never come. */
  #settle: (() => void) | undefined

  constructor(writer: Writable, ends: boolean) {
    this.writer = writer
    this.#ends = ends
    writer.once('error', (error) => {
      this.#fail(error)
    })
    writer.once('close', () => {
      if (!writer.writableFinished) this.#fail(new Error('the sink was closed'))
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
