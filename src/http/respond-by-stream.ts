// The same response by Node's own streams: for what must not go past Node.

import { createReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { finished, pipeline } from 'node:stream/promises'
import { declareLength, isBodyless } from '../endpoint/response.js'
import { abortError } from '../errors.js'
import { truncated, type TransferResult } from '../move.js'
import { watch } from '../pulse.js'
import { closeBody, type Body } from './body.js'
import type { Response } from './response.js'

/** Sends a body through Node's streams, and says why. */
export async function respondByStream(
  response: Response,
  body: Body,
  refused: string,
): Promise<TransferResult> {
  const res = response.res as ServerResponse
  declareLength(res, body.length)
  const bytes = isBodyless(res) || body.length === 0 ? endWithout(res, body) : await pipe(res, body, response)
  await finished(res)
  return { bytes, mechanism: 'stream', fallbacks: [{ mechanism: 'sendfile', code: refused }] }
}

function endWithout(res: ServerResponse, body: Body): number {
  closeBody(body)
  res.end()
  return 0
}

async function pipe(res: ServerResponse, body: Body, { signal, onProgress }: Response): Promise<number> {
  const { fd, owned, start, length } = body
  const source = createReadStream('', { fd, autoClose: owned, start, end: start + length - 1 })
  const unwatch = watch(() => source.bytesRead, { onProgress, total: length })
  try {
    await pipeline(source, res, { end: false, ...(signal ? { signal } : {}) })
    if (source.bytesRead < length) throw truncated(source.bytesRead, length)
    res.end()
    return source.bytesRead
  } catch (error) {
    res.destroy()
    if (signal?.aborted) throw abortError(signal, { bytes: source.bytesRead })
    throw Object.assign(error as Error, { bytes: source.bytesRead })
  } finally {
    unwatch()
  }
}
