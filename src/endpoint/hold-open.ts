// A file stream whose descriptor the engine has: it is not told to be closed while its file is still read or written.

import type { Readable, Writable } from 'node:stream'
import { replace } from './replace.js'

type Destroy = Readable['_destroy']

/**
 * Node does not close a file before the read or write that is under way has come back, and who has seen 'close' may
 * give the file to somebody else; so a stream that is destroyed waits for the engine, which `stop` is to tell. What else
 * closes at the same time closes first. Returns how to let the stream go.
 */
export function holdOpen(stream: Readable | Writable, stop: () => void): () => void {
  const destroy: Destroy = stream._destroy.bind(stream)
  let letGo: () => void
  const over = new Promise<void>((resolve) => (letGo = resolve))
  const restore = replace(stream, '_destroy', (...args: Parameters<Destroy>) => {
    stop()
    void over.then(() => {
      destroy(...args)
    })
  })
  return () => {
    restore()
    letGo()
  }
}
