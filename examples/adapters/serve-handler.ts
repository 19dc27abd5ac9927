// `createReadStream` for serve-handler: what it pipes into the response, the kernel moves.

import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import serveHandler from 'serve-handler'
import { respondWithFile } from 'zcio/http'

/** As serve-handler itself, whose options these are. */
export function serveDirectory(
  req: IncomingMessage,
  res: ServerResponse,
  options: { public: string },
): Promise<void> {
  return serveHandler(req, res, options, {
    createReadStream: (path: string, range: { start?: number; end?: number } = {}) => {
      const stream = createReadStream(path, range)
      stream.pipe = (sink) => {
        const { start, end } = range
        respondWithFile(res, path, {
          ...(start === undefined ? {} : { start }),
          ...(end === undefined ? {} : { end }),
        }).catch((error: unknown) => {
          res.destroy(error as Error)
        })
        stream.destroy()
        return sink
      }
      return stream
    },
  } as object)
}
