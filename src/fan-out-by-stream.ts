// The same fan-out by Node's own streams: for ends that have no descriptor, or one that must be left alone.

import { WriteStream } from 'node:fs'
import { constants as os } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { SinkKind, SourceKind } from './endpoint/classify.js'
import { countAccepted, inFile } from './endpoint/accepted.js'
import { NO_HEAD } from './endpoint/lent.js'
import { putBack, readerOf, writerOf } from './endpoint/stream.js'
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
  const flow: Flow = { bytes: 0, rest: NO_HEAD }
  const stop = (): void => {
    for (const branch of branches) branch.stop()
  }
  signal?.addEventListener('abort', stop)
  countStart(fallbacks)
  try {
    for (const sink of sinks) branches.push(new Branch(sink, end))
    await pour(reader, branches, how, flow)
    countEnd(true)
  } catch (error) {
    countEnd(false)
    const { bytes, rest } = reached(flow, branches, how)
    for (const { writer } of branches) if (end) writer.destroy()
    const residual = putBack(source, reader, rest, !end)
    const progress = residual === undefined ? { bytes } : { bytes, residual }
    if (signal?.aborted) throw abortError(signal, progress)
    throw Object.assign(error as Error, progress, { side: (error as TransferError).side ?? 'source' })
  } finally {
    signal?.removeEventListener('abort', stop)
    for (const { bytes } of branches) countBytes('stream', bytes)
    for (const { isOwn, writer } of branches) if (isOwn) writer.destroy()
    if (end || source.kind === 'descriptor') reader.destroy()
  }
  return { bytes: flow.bytes, sinks: branches.map((branch) => branch.outcome()), fallbacks }
}

/** How far it has come. */
interface Flow {
  /** Bytes that every sink has accepted. */
  bytes: number
  /** What was taken of the source after them. */
  rest: Buffer
}

async function pour(
  reader: Readable,
  branches: readonly Branch[],
  how: StreamFanOut,
  flow: Flow,
): Promise<void> {
  check(branches, how)
  for await (const chunk of chunksOf(reader, how.signal)) {
    flow.rest = chunk
    await Promise.all(branches.map((branch) => branch.write(chunk, how.sinkTimeout)))
    how.signal?.throwIfAborted()
    check(branches, how)
    flow.bytes += chunk.length
    flow.rest = NO_HEAD
    how.onProgress?.({ bytes: flow.bytes })
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

/** Where it stopped: what was taken last may have been accepted by every sink, or in part. */
function reached({ bytes, rest }: Flow, branches: readonly Branch[], { onSinkError }: StreamFanOut): Flow {
  const counting = branches.filter(({ error, isLate }) => !error || (onSinkError === 'abort' && !isLate))
  const accepted = counting.length > 0 ? Math.min(...counting.map((branch) => branch.bytes)) - bytes : 0
  return { bytes: bytes + accepted, rest: rest.subarray(accepted) }
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
  /** Made here, of a descriptor. */
  readonly isOwn: boolean
  readonly #ends: boolean
  readonly #livesOn: boolean
  readonly #counted: () => number
  /** Bytes that the writer was given. */
  #given = 0
  /** Ends the wait for a write whose callback may never come. */
  #settle: (() => void) | undefined

  constructor(sink: SinkKind, end: boolean) {
    const writer = writerOf(sink, undefined)
    this.writer = writer
    this.isOwn = sink.kind === 'descriptor'
    // A socket of ours that ended would tell the peer that the connection has.
    this.#ends = this.isOwn ? writer instanceof WriteStream : end
    this.#livesOn = !this.isOwn && !end
    this.#counted = countAccepted(writer)
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
    this.#given += chunk.length
    await new Promise<void>((resolve) => {
      this.#settle = resolve
      this.writer.write(chunk, (error) => {
        if (error) this.#fail(error)
        else if (!this.error) this.bytes = this.#given
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

  /** Waits for nothing any more, and finds out what the sink has accepted: one that lives on will see to all of it. */
  stop(): void {
    if (this.error) return
    if (this.#livesOn) this.bytes = this.#given
    void inFile(this.writer).then(() => {
      this.#count()
      this.#settle?.()
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

  /** Of a write that is under way or has failed, a part may have been accepted. */
  #count(): void {
    this.bytes = Math.max(this.bytes, Math.min(this.#counted(), this.#given))
  }

  #fail(error: Error): void {
    if (!this.error) this.#count()
    this.error ??= Object.assign(error, { bytes: this.bytes, side: 'sink' as const })
    this.#settle?.()
  }
}
