// `reply.sendFile(name, root?)` for Fastify, as @fastify/static has it: the file goes past Fastify, whose hooks for the
// payload do not see it; the headers that the reply has go along.

import type { FastifyInstance, FastifyReply } from 'fastify'
import plugin from 'fastify-plugin'
import { serveStatic, type ServeStaticOptions, type StaticHandler } from 'zcio/http'

declare module 'fastify' {
  interface FastifyReply {
    /** Answers with a file of the root; 404 where there is none. */
    sendFile(name: string, root?: string): this
  }
}

export const sendFiles = plugin(
  (fastify: FastifyInstance, { root, ...options }: ServeStaticOptions & { root: string }, done) => {
    const handlers = new Map<string, StaticHandler>()
    fastify.decorateReply('sendFile', function (this: FastifyReply, name, directory = root) {
      const serve = handlers.get(directory) ?? serveStatic(directory, options)
      handlers.set(directory, serve)
      this.hijack()
      for (const [header, value] of Object.entries(this.getHeaders())) this.raw.setHeader(header, value ?? '')
      this.raw.statusCode = this.statusCode
      this.request.raw.url = encodeURI(`/${name}`)
      serve(this.request.raw, this.raw, (error) => {
        const { status = 404 } = (error ?? {}) as { status?: number }
        this.raw.writeHead(status).end()
      })
      return this
    })
    done()
  },
)
