import 'zcio/register'
import test, { type ExecutionContext } from 'ava'
import { createReadStream } from 'node:fs'
import { type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import { basename, dirname } from 'node:path'
import { tally } from '#src/piping/tally.js'
import { LARGE, Scene } from '../fixtures/piping/scene.js'
import { makeFile, sha256 } from '../helpers/files.js'
import type { HttpClient } from '../helpers/http-client.js'
import { until } from '../helpers/wait.js'

// Frameworks as their users have them: nothing here knows of zcio but the first line.

const require = createRequire(import.meta.url)
const large = makeFile(LARGE, 'large.bin')
const small = makeFile(5000, 'small.bin')
const root = dirname(large.path)

interface Express {
  (): RequestListener & { use(handler: unknown): void }
  static(root: string): unknown
}
interface Koa {
  use(handler: (context: { path: string; body: unknown; type: string; length: number }) => unknown): void
  callback(): RequestListener
}
interface Fastify {
  register(plugin: unknown, options: object): void
  ready(): Promise<void>
  routing: RequestListener
}

const frameworks: Record<string, () => RequestListener | Promise<RequestListener>> = {
  'express.static': () => {
    const express = require('express') as Express
    const app = express()
    app.use(express.static(root))
    return app
  },
  'koa-send': () => {
    const app = new (require('koa') as { default: new () => Koa }).default()
    const send = require('koa-send') as (context: unknown, path: string, options: object) => Promise<string>
    app.use((context) => send(context, context.path, { root }))
    return app.callback()
  },
  'a body of Koa': () => {
    const app = new (require('koa') as { default: new () => Koa }).default()
    app.use((context) => {
      context.type = 'bin'
      context.length = context.path.includes('large') ? LARGE : 5000
      context.body = createReadStream(`${root}${context.path}`)
      context.length = context.path.includes('large') ? LARGE : 5000
    })
    return app.callback()
  },
  '@fastify/static': async () => {
    const app = (require('fastify') as (options: object) => Fastify)({})
    app.register(require('@fastify/static'), { root })
    await app.ready()
    return app.routing
  },
}

async function connect(t: ExecutionContext, listener: RequestListener): Promise<HttpClient> {
  const scene = new Scene()
  t.teardown(() => {
    scene.close()
  })
  return scene.serve(listener)
}

for (const [name, make] of Object.entries(frameworks)) {
  test.serial(`${name}: files, ranges and conditions as ever, and large ones by the kernel`, async (t) => {
    const client = await connect(t, await make())
    const before = tally().runs
    for (let i = 0; i < 2; i++) {
      for (const { path, bytes } of [large, small]) {
        const answer = await client.get(`/${basename(path)}`)
        t.like(answer, { status: 200, complete: true, hash: sha256(bytes) })
      }
    }
    t.is((await client.get(`/${basename(large.path)}`, 'HEAD')).headers['content-length'], String(LARGE))
    t.is((await client.get(`/${basename(small.path)}`)).hash, sha256(small.bytes))
    await until('the runs', () => tally().runs === before + 2)
    t.not((await client.get('/nothing.bin')).status, 200)
  })
}

for (const name of ['express.static', '@fastify/static']) {
  test.serial(`${name}: a range goes by the kernel`, async (t) => {
    const client = await connect(t, (await frameworks[name]?.()) ?? (() => undefined))
    const before = tally().runs
    const answer = await client.get(`/${basename(large.path)}`, 'GET', 'Range: bytes=1000000-19999999')
    t.like(answer, { status: 206, complete: true, hash: sha256(large.bytes.subarray(1_000_000, 20_000_000)) })
    await until('the run', () => tally().runs === before + 1)
    t.pass()
  })
}
