// The same response by Node's own streams: for what must not go past Node.

import { createReadStream, open, read as readFile, type ReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { finished, pipeline } from 'node:stream/promises'
import { checkDeclaredLength, closed, declareLength, isBodyless, uncork } from '../endpoint/response.js'
import { abortError, type Fallback, type TransferError } from '../errors.js'
import { truncated, type TransferResult } from '../move.js'
import type { Read } from '../node-internals.js'
import { watch } from '../pulse.js'
import { counted } from '../stats.js'
import { closeFile, descriptorOf, type Body } from './body.js'
import type { Response } from './response.js'

/** Sends a body through Node's streams, and says why. `content` is the body where it has been read. */
export async function respondByStream(
  response: Response,
  body: Body,
  refused: string,
  content?: Buffer,
): Promise<TransferResult> {
  const res = response.res as ServerResponse
  try {
    checkDeclaredLength(res, body.length)
    declareLength(res, body.length)
  } catch (error) {
    closeFile(body)
    throw error
  }
  uncork(res)
  const fallbacks: Fallback[] = [{ mechanism: 'sendfile', code: refused }]
  const bytes = await counted(fallbacks, () => sendBody(res, body, response, content))
  closeFile(body)
  response.onProgress?.({ bytes, total: body.length })
  return { bytes, mechanism: 'stream', fallbacks }
}

async function sendBody(
  res: ServerResponse,
  body: Body,
  response: Response,
  content: Buffer | undefined,
): Promise<number> {
  const bytes = isBodyless(res) ? 0 : body.length
  if (bytes > 0 && content === undefined) await pipe(res, body, response)
  else await endWith(res, bytes > 0 ? content : undefined, response)
  return bytes
}

async function pipe(res: ServerResponse, body: Body, response: Response): Promise<void> {
  const source = read(body)
  const { signal, onProgress } = response
  const unwatch = watch(() => source.bytesRead, { onProgress, total: body.length })
  try {
    await pipeline(source, res, { end: false, ...(signal ? { signal } : {}) })
    // HTTP/2 does not tell the pipeline when its client has gone.
    if (!source.readableEnded) throw closed(source.bytesRead)
    if (source.bytesRead < body.length) throw truncated(source.bytesRead, body.length)
  } catch (error) {
    res.destroy()
    throw explain(error, source.bytesRead, signal)
  } finally {
    unwatch()
  }
  await endWith(res, undefined, response, body.length)
}

/** A stream closes the caller's file too when it is destroyed, and ours not as it was opened: so we close. */
function read(body: Body): ReadStream {
  const { fd, start, length } = body
  const close = (_: number, done?: (error: null) => void): void => {
    closeFile(body)
    done?.(null)
  }
  const read = body.handle === undefined ? readFile : readWhileOpen(body)
  return createReadStream('', { fd, start, end: start + length - 1, fs: { open, read, close } })
}

/** The caller may close its file while it is sent. */
function readWhileOpen(body: Body): typeof readFile {
  const read: Read = (_, buffer, offset, length, position, done) => {
    try {
      ;(readFile as Read)(descriptorOf(body), buffer, offset, length, position, done)
    } catch (error) {
      // Node waits for the end of what it has begun before it destroys the stream.
      process.nextTick(done, error, 0, buffer)
    }
  }
  return read as typeof readFile
}

async function endWith(
  res: ServerResponse,
  content: Buffer | undefined,
  { signal }: Response,
  bytes = 0,
): Promise<void> {
  try {
    res.end(content)
    await finished(res, signal ? { signal } : {})
  } catch (error) {
    res.destroy()
    throw explain(error, bytes, signal)
  }
}

/** A file's error names a system call; a response's only says, one way or the other, that it is gone. */
function explain(error: unknown, bytes: number, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return abortError(signal, { bytes })
  const { side, syscall } = error as TransferError
  if (side !== undefined) return error
  return syscall === undefined
    ? closed(bytes, error)
    : Object.assign(error as Error, { bytes, side: 'source' })
}
