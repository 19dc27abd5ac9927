// What Node's streams move of a source: a stream that reads it as far as a length goes, keeps what the sink has not
// accepted yet, and leaves the source as it is when it is destroyed.

import { finished, Readable } from 'node:stream'

/** What is wanted of a source. */
export interface Measure {
  length?: number
  /** What was taken of it before. */
  head?: Buffer | undefined
  /** Called whenever bytes were taken or accepted. */
  onMove?: (() => void) | undefined
}

/** Reads a source for a sink, on demand, as far as the length goes; what is read beyond goes back. */
export class Meter extends Readable {
  /** Bytes that were taken from the source. */
  taken = 0
  /** Those of them that the sink is known to have accepted. */
  accepted = 0
  /** Whether it was the source that failed. */
  sourceFailed = false

  readonly #source: Readable
  readonly #forget: () => void
  readonly #onMove: (() => void) | undefined
  /** What was taken and is not known to be accepted, in order. */
  readonly #rest: Buffer[] = []
  #left: number
  #wanted = false

  constructor(source: Readable, { length = Infinity, head, onMove }: Measure) {
    super({ highWaterMark: 0 })
    this.#source = source
    this.#left = length
    this.#onMove = onMove
    if (head?.length) this.#give(head)
    // To listen is to make it read.
    if (length > 0) source.on('readable', this.#take)
    this.#forget = finished(source, { writable: false }, (error) => {
      if (error) this.#fail(error)
      else this.push(null)
    })
  }

  /** What was taken and is not known to be accepted. */
  get rest(): Buffer {
    return Buffer.concat(this.#rest)
  }

  /** The sink is known to have accepted so many bytes, counted from the first. */
  accept(bytes: number): void {
    let more = Math.min(bytes, this.taken) - this.accepted
    if (more <= 0) return
    this.accepted += more
    // Invariant: of the rest, the first `more` bytes are accepted.
    for (let [first] = this.#rest; first !== undefined && more > 0; [first] = this.#rest) {
      if (first.length <= more) this.#rest.shift()
      else this.#rest[0] = first.subarray(more)
      more -= Math.min(first.length, more)
    }
    this.#onMove?.()
  }

  override _read(): void {
    this.#wanted = true
    if (this.#left === 0) this.push(null)
    else this.#take()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#forget()
    this.#source.off('readable', this.#take)
    done(error)
  }

  readonly #take = (): void => {
    if (!this.#wanted) return
    const chunk: unknown = this.#source.read()
    if (chunk === null) return
    this.#wanted = false
    try {
      this.#pass(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array | string))
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #pass(bytes: Buffer): void {
    const wanted = bytes.subarray(0, Math.min(bytes.length, this.#left))
    if (wanted.length < bytes.length) this.#source.unshift(bytes.subarray(wanted.length))
    this.#left -= wanted.length
    this.#give(wanted)
    this.#onMove?.()
  }

  #give(bytes: Buffer): void {
    this.taken += bytes.length
    this.#rest.push(bytes)
    this.push(bytes)
  }

  #fail(error: Error): void {
    this.sourceFailed = true
    this.destroy(error)
  }
}
