// A directory behind Express: the middleware goes where `express.static` went.

import express, { type Express } from 'express'
import { serveStatic, type ServeStaticOptions } from 'zcio/http'

export function createApp(root: string, options?: ServeStaticOptions): Express {
  const app = express()
  app.use('/static', serveStatic(root, options))
  return app
}
