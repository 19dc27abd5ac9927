// A child that takes what is in a pipe of its parent and drops it, by splice(2) to /dev/null: the cheapest reader
// there is. It asks nothing meanwhile, and ends where the pipe does.

import { openSync } from 'node:fs'
import { spliceSync } from 'zcio'
import { serveParent } from './children.js'
import { MiB } from './files.js'

const nowhere = openSync('/dev/null', 'w')

/** Takes so many bytes from the pipe at this path, which may be one of /proc. */
export interface Take {
  pipe: string
  bytes: number
}

serveParent(({ pipe, bytes }: Take) => {
  const source = openSync(pipe, 'r')
  let taken = 0
  for (let n = 1; n > 0 && taken < bytes; taken += n) {
    n = spliceSync(source, null, nowhere, null, Math.min(MiB, bytes - taken))
  }
  return Promise.resolve({ taken })
})
