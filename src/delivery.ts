// What Node's streams give to a sink: a stream before it that finds out what the sink has accepted, ends it or leaves
// it open, and leaves it as it is when it is destroyed.

import { finished, Writable } from 'node:stream'
import { countAccepted, inFile, isUsable } from './endpoint/accepted.js'
import { closed, written } from './endpoint/wait.js'

type Done = (error?: Error | null) => void

/** Writes to a sink what it has room for, and tells how many bytes it is known to have accepted. */
export class Delivery extends Writable {
  readonly #sink: Writable
  readonly #ends: boolean
  readonly #accept: (bytes: number) => void
  readonly #counted: () => number
  readonly #forget: () => void
  /** Bytes that the sink was given. */
  #given = 0
  /** Called when the sink has room again. */
  #onRoom: Done | undefined
  /** Called when the sink has finished. */
  #onFinished: Done | undefined

  constructor(sink: Writable, ends: boolean, accept: (bytes: number) => void) {
    super()
    this.#sink = sink
    this.#ends = ends
    this.#accept = accept
    this.#counted = countAccepted(sink)
    sink.on('drain', this.#goOn)
    // Of a duplex stream, only the half that is written has to finish. After its end it were too late to listen: stdout
    // is then as if it had never ended.
    this.#forget = finished(sink, { readable: false }, (error) => {
      if (!error && this.#onFinished) this.#onFinished()
      else this.destroy(error ?? closed('sink'))
    })
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: Done): void {
    const upTo = (this.#given += chunk.length)
    try {
      const hasRoom: unknown = this.#sink.write(chunk, (error) => {
        // Of an error the stream itself tells.
        if (!error) this.#accept(upTo)
      })
      this.#look()
      // Sinks of other makers may answer nothing.
      if (hasRoom === false) this.#onRoom = done
      else done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _final(done: Done): void {
    if (this.#ends) {
      this.#onFinished = done
      this.#sink.end()
    } else if (this.#sink.writableObjectMode) done()
    else
      written(this.#sink).then(() => {
        done()
      }, done)
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#forget()
    this.#sink.off('drain', this.#goOn)
    done(error)
  }

  /**
   * Finds out what the sink has accepted of what it was given, when it gets no more: before it is destroyed, since
   * afterwards it tells nothing. One that lives on will see to all of it.
   */
  async settle(livesOn: boolean): Promise<void> {
    if (livesOn && isUsable(this.#sink)) {
      this.#accept(this.#given)
      return
    }
    await inFile(this.#sink)
    this.#accept(Math.min(this.#counted(), this.#given))
  }

  readonly #goOn = (): void => {
    this.#look()
    const goOn = this.#onRoom
    this.#onRoom = undefined
    goOn?.()
  }

  /** Its callbacks alone do not do: a sink that somebody has wrapped may never call them. */
  #look(): void {
    if (isUsable(this.#sink)) this.#accept(this.#given - buffered(this.#sink))
  }
}

/** Bytes that a stream was given and is not through with, where it counts them. */
function buffered(sink: Writable): number {
  // Not everything that has the methods of a Writable has its properties.
  const { writableObjectMode, writableLength = 0 } = sink as Partial<Writable>
  return writableObjectMode ? 0 : writableLength
}
