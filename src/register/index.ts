// `node --import zcio/register app.js`: zero copy in an application that nobody changes. What it does is in the
// modules beside; when it is off, and what it prints, is here. docs/register.md tells users.

import { tally } from '../piping/tally.js'
import { stats } from '../stats.js'
import { registerReadStream } from './read-stream.js'
import { registerSocket } from './socket.js'

if (process.env.ZCIO !== 'off') {
  registerReadStream()
  registerSocket()
}
if (process.env.ZCIO_STATS === '1') {
  process.once('exit', () =>
    process.stderr.write(`zcio: ${JSON.stringify({ ...stats(), piped: tally() })}\n`),
  )
}
