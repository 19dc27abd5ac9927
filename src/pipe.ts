// A pipe of our own: what bytes pass through between two calls of splice, and what children get as stdio.

import { constants as os } from 'node:os'
import { inspect, type InspectOptions } from 'node:util'
import { binding } from './binding.js'
import { cancelCalls } from './calls.js'
import { invalidType, outOfRange, systemError } from './errors.js'
import { checkBoolean, checkOptions } from './options.js'
import { moved } from './primitives.js'
import { quietBinding } from './quiet.js'

/** Options of {@link Pipe}. */
export interface PipeOptions {
  /** Capacity to ask for, in bytes. Default: what the kernel gives, 64 KiB mostly. */
  capacity?: number
  /** The reading end without O_NONBLOCK, as a child's standard input should be. Default: `false`. */
  readerBlocking?: boolean
  /** The writing end without O_NONBLOCK, as a child's standard output should be. Default: `false`. */
  writerBlocking?: boolean
}

/** An end that nobody can close any more, and what it shares with the other. */
interface Forgotten {
  fd: number
  pipe: { warned: boolean }
}

const forgotten = new FinalizationRegistry(({ fd, pipe }: Forgotten) => {
  if (!pipe.warned) {
    process.emitWarning(`A Pipe was collected as garbage while its descriptor ${fd} was open`, {
      code: 'ZCIO_PIPE_COLLECTED',
      detail:
        'It is closed now. Call close() on the Pipe, or on each of its ends, or declare it with "using".',
    })
  }
  pipe.warned = true
  close(fd)
})

/**
 * One end of a pipe; fit for the `stdio` of a child process, which gets a duplicate. An end that is collected open is
 * closed then, with a warning, so keep it (or its pipe) for as long as its number is in use.
 */
export class PipeEnd {
  #fd: number

  /** @internal */
  constructor(fd: number, pipe: Forgotten['pipe']) {
    this.#fd = fd
    forgotten.register(this, { fd, pipe }, this)
  }

  /** Its descriptor; -1 when closed. */
  get fd(): number {
    return this.#fd
  }

  /** Closes it, and rejects the calls that wait on it with ECANCELED; again does nothing. */
  close(): void {
    if (this.#fd < 0) return
    forgotten.unregister(this)
    close(this.#fd)
    this.#fd = -1
  }

  [inspect.custom](): string {
    return this.#fd < 0 ? 'PipeEnd { closed }' : `PipeEnd { fd: ${this.#fd} }`
  }
}

function close(fd: number): void {
  cancelCalls(fd)
  binding().close(fd)
}

/** The capacity a pipe can have at most: 2 GiB, by F_SETPIPE_SZ. The user's limits are lower. */
const MAX_CAPACITY = 0x8000_0000

/**
 * A pipe, close-on-exec, both ends nonblocking unless asked otherwise: pipe2(2). Close it, or its ends one by one,
 * when done. What is still open at the end of its worker thread is closed then.
 *
 * The kernel counts its capacity in slots of one page, not in bytes: many small pieces fill it sooner.
 */
export class Pipe implements Disposable {
  /** The end to read from. */
  readonly reader: PipeEnd
  /** The end to write to. */
  readonly writer: PipeEnd

  constructor(options?: PipeOptions) {
    const { capacity, ...modes } = checkOptions(options, ['capacity', 'readerBlocking', 'writerBlocking'])
    const readerBlocking = checkBoolean('options.readerBlocking', modes.readerBlocking) ?? false
    const writerBlocking = checkBoolean('options.writerBlocking', modes.writerBlocking) ?? false
    if (capacity !== undefined) checkCapacity('options.capacity', capacity)
    const [reader = 0, writer] = binding().pipe(readerBlocking, writerBlocking)
    if (writer === undefined) throw systemError(-reader, 'pipe2')
    const pipe = { warned: false }
    this.reader = new PipeEnd(reader, pipe)
    this.writer = new PipeEnd(writer, pipe)
    if (capacity !== undefined) this.#grow(capacity)
  }

  /** Capacity in bytes, if every slot held a full page. */
  get capacity(): number {
    return moved(binding().pipeCapacity(this.#open('fcntl')), 'fcntl')
  }

  /**
   * Asks for a capacity in bytes and returns the one there is then, a power of two of pages. Throws EPERM past the
   * user's limits (/proc/sys/fs/pipe-max-size, pipe-user-pages-soft), EBUSY where what the pipe holds would not fit.
   */
  setCapacity(bytes: number): number {
    return moved(binding().setPipeCapacity(this.#open('fcntl'), checkCapacity('bytes', bytes)), 'fcntl')
  }

  /** Bytes in the pipe: FIONREAD. Waits while another thread is inside a call on this pipe. */
  get buffered(): number {
    return moved(binding().buffered(this.#open('ioctl')), 'ioctl')
  }

  /** Reads what there is into a buffer: read(2). 0: the writers are gone. Throws EAGAIN where there is nothing yet. */
  readSync(buffer: Uint8Array): number {
    return moved(binding().read(opened(this.reader, 'read'), bytesOf(buffer)), 'read')
  }

  /** Copies bytes into the pipe: write(2). Throws EAGAIN where it is full, EPIPE where nobody reads. */
  writeSync(buffer: Uint8Array): number {
    return moved(quietBinding().write(opened(this.writer, 'write'), bytesOf(buffer)), 'write')
  }

  /** Closes both ends, and rejects the calls that wait on them with ECANCELED; again does nothing. */
  close(): void {
    // Before the first is closed: a call on the other would else find it gone, and say EPIPE or 0.
    for (const { fd } of [this.reader, this.writer]) cancelCalls(fd)
    this.reader.close()
    this.writer.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** `Pipe { reader: 20, writer: 21, capacity: 65536, buffered: 0 }`; `buffered` may wait, as the property does. */
  [inspect.custom](...[, options]: [depth: number, options: InspectOptions]): string {
    const end = ({ fd }: PipeEnd): number | string => (fd < 0 ? 'closed' : fd)
    const ends = { reader: end(this.reader), writer: end(this.writer) }
    const isClosed = this.reader.fd < 0 && this.writer.fd < 0
    const state = isClosed ? ends : { ...ends, capacity: this.capacity, buffered: this.buffered }
    return `Pipe ${inspect(state, options)}`
  }

  /** Either end will do. */
  #open(syscall: string): number {
    return opened(this.reader.fd < 0 ? this.writer : this.reader, syscall)
  }

  #grow(capacity: number): void {
    try {
      this.setCapacity(capacity)
    } catch (error) {
      this.close()
      throw error
    }
  }
}

/** The descriptor of an end, or what the kernel would say of one that is closed. */
function opened({ fd }: PipeEnd, syscall: string): number {
  if (fd < 0) throw systemError(os.errno.EBADF, syscall)
  return fd
}

function checkCapacity(name: string, bytes: unknown): number {
  if (typeof bytes !== 'number') throw invalidType(name, 'a number', bytes)
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > MAX_CAPACITY) {
    throw outOfRange(name, 'an integer >= 0 and <= 2147483648', bytes)
  }
  return bytes
}

function bytesOf(buffer: unknown): Buffer {
  if (!(buffer instanceof Uint8Array)) throw invalidType('buffer', 'a Buffer or Uint8Array', buffer)
  return Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
