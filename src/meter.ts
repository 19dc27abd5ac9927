// What Node's streams move of a source: a stream between source and sink that counts, stops at a length, and leaves
// the source as it is when it is destroyed.

import { finished, Readable, type Writable } from 'node:stream'

/** Reads a source for a sink, on demand, as far as the length goes; what is read beyond goes back. */
export class Meter extends Readable {
  /** Bytes that were taken from the source. */
  taken = 0
  /** Those of them that the sink was seen to be through with. */
  bytes = 0
  /** Whether it was the source that failed. */
  sourceFailed = false

  readonly #source: Readable
  readonly #sink: Writable
  readonly #forget: () => void
  #left: number
  #wanted = false

  constructor(source: Readable, sink: Writable, length: number) {
    super({ highWaterMark: 0 })
    this.#source = source
    this.#sink = sink
    this.#left = length
    // To listen is to make it read.
    if (length > 0) source.on('readable', this.#take)
    this.#forget = finished(source, { writable: false }, (error) => {
      if (error) this.#fail(error)
      else this.push(null)
    })
  }

  /** Sees how far the sink is: called before it is destroyed, since its buffer tells nothing afterwards. */
  look(): void {
    this.bytes = Math.max(this.bytes, this.taken - this.readableLength - buffered(this.#sink))
  }

  override _read(): void {
    this.look()
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
    this.taken += wanted.length
    this.#left -= wanted.length
    this.push(wanted)
  }

  #fail(error: Error): void {
    this.look()
    this.sourceFailed = true
    this.destroy(error)
  }
}

/** Bytes that a stream was given and is not through with, where it counts them. */
function buffered(sink: Writable): number {
  // Not everything that has the methods of a Writable has its properties.
  const { writableObjectMode, writableLength = 0 } = sink as Partial<Writable>
  return writableObjectMode ? 0 : writableLength
}
