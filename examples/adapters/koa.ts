// A directory behind Koa: the response leaves Koa's hands where there is a file, and goes on where there is none.

import Koa, { type Middleware } from 'koa'
import { serveStatic, type ServeStaticOptions } from 'zcio/http'

export function createApp(root: string, options?: ServeStaticOptions): Koa {
  const app = new Koa()
  app.use(files(root, options))
  app.use((context) => {
    context.body = 'not a file'
  })
  return app
}

function files(root: string, options?: ServeStaticOptions): Middleware {
  const serve = serveStatic(root, options)
  return async (context, next) => {
    const { req, res } = context
    // Koa answers 404 unless it is told otherwise, and leaves this response alone once it is answered elsewhere.
    res.statusCode = 200
    let failure: unknown
    const isHandedOn = await new Promise<boolean>((resolve) => {
      res.once('close', () => {
        resolve(false)
      })
      serve(req, res, (error) => {
        failure = error
        resolve(true)
      })
    })
    if (failure !== undefined) throw failure as Error
    context.respond = isHandedOn
    if (!isHandedOn) return
    context.status = 404
    await next()
  }
}
