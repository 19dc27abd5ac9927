// A real browser as the client: what a page loads, seeks in and downloads through serveStatic is what lies on the disk.
// The page does the work itself and posts what it has found. Where no Chromium is installed it says so, and that is all.

import test, { type ExecutionContext } from 'ava'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { serveStatic } from 'zcio/http'
import { pathFor, pattern, sha256 } from '../helpers/files.js'
import { put } from '../helpers/static-server.js'
import { within } from '../helpers/wait.js'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']
const browser = NAMES.find((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0)

const MiB = 1 << 20
const SECONDS = 120

/** What the page has found. */
interface Found {
  error?: string
  images: { width: number; height: number; pixel: number[] }[]
  audio: { duration: number; at: number[] }
  download: string
}

const page = `<!doctype html><title>zcio</title><script type="module">
const found = {}
const event = (target, name) => new Promise((resolve, reject) => {
  target.addEventListener(name, resolve, { once: true })
  target.addEventListener('error', () => reject(new Error(target.src + ' failed')), { once: true })
})
async function image(src) {
  const image = new Image()
  image.src = src
  await event(image, 'load')
  const canvas = document.createElement('canvas')
  canvas.width = image.naturalWidth
  canvas.height = image.naturalHeight
  const context = canvas.getContext('2d')
  context.drawImage(image, 0, 0)
  const pixel = [...context.getImageData(canvas.width - 1, canvas.height - 1, 1, 1).data]
  return { width: canvas.width, height: canvas.height, pixel }
}
async function audio(src, times) {
  const audio = new Audio()
  audio.preload = 'metadata'
  audio.src = src
  await event(audio, 'loadedmetadata')
  const at = []
  for (const time of times) {
    audio.currentTime = time
    await event(audio, 'seeked')
    at.push(audio.currentTime)
  }
  return { duration: audio.duration, at }
}
async function download(url) {
  const body = await (await fetch(url)).arrayBuffer()
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body))
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
try {
  found.images = await Promise.all(['small.bmp', 'large.bmp', 'small.bmp?again'].map(image))
  found.audio = await audio('sound.wav', [100, 1, 60])
  found.download = await download('download.bin')
} catch (error) {
  found.error = String(error)
}
await fetch('/found', { method: 'POST', body: JSON.stringify(found) })
</script>`

test('a browser shows images, seeks in a sound and downloads 50 MiB', async (t) => {
  if (browser === undefined) {
    t.log(`not tried: none of ${NAMES.join(', ')} is installed`)
    t.pass()
    return
  }
  const bytes = pattern(50 * MiB)
  const root = pathFor('site')
  put(root, 'index.html', page)
  put(root, 'small.bmp', bitmap(40, 30))
  put(root, 'large.bmp', bitmap(1000, 700))
  put(root, 'sound.wav', sound())
  put(root, 'download.bin', bytes)
  const { port, found, ranges } = await site(t, root)
  visit(t, browser, `http://127.0.0.1:${port}/`)
  const { error, images, audio, download } = await within('what the page finds', found)
  t.is(error, undefined)
  const blue = [0, 0, 255, 255]
  t.deepEqual(
    images,
    [
      [40, 30],
      [1000, 700],
      [40, 30],
    ].map(([width = 0, height = 0]) => ({ width, height, pixel: blue })),
  )
  t.deepEqual(audio, { duration: SECONDS, at: [100, 1, 60] })
  t.is(download, sha256(bytes))
  t.true(
    ranges.some((range) => /^bytes=[1-9]\d+-/.test(range)),
    `it asked for ${ranges.join(', ')}`,
  )
})

/** The site, what its page has found, and which ranges were asked for. */
async function site(
  t: ExecutionContext,
  root: string,
): Promise<{ port: number; found: Promise<Found>; ranges: string[] }> {
  const serve = serveStatic(root)
  const ranges: string[] = []
  let resolve: (found: Found) => void = () => undefined
  const found = new Promise<Found>((settle) => (resolve = settle))
  const server = createServer((req, res) => {
    if (req.headers.range !== undefined) ranges.push(req.headers.range)
    if (req.method !== 'POST') {
      serve(req, res)
      return
    }
    void json(req).then((value) => {
      resolve(value as Found)
      res.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, found, ranges }
}

function visit(t: ExecutionContext, command: string, url: string): void {
  const profile = pathFor('profile')
  mkdirSync(profile)
  const options = [
    '--headless=new',
    '--no-first-run',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--mute-audio',
  ]
  // Chromium's sandbox refuses root, as whom containers run; the page is ours.
  const unsafe = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const child = spawn(command, [...options, ...unsafe, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
  })
  t.teardown(async () => {
    const ended = once(child, 'exit')
    child.kill()
    await ended
  })
}

/** A picture that is blue all over. */
function bitmap(width: number, height: number): Buffer {
  const row = Buffer.alloc((width * 3 + 3) & ~3)
  for (let x = 0; x < width; x++) row[x * 3] = 255
  const head = Buffer.alloc(54)
  head.write('BM')
  head.writeUInt32LE(head.length + row.length * height, 2)
  head.writeUInt32LE(head.length, 10)
  head.writeUInt32LE(40, 14)
  head.writeInt32LE(width, 18)
  head.writeInt32LE(height, 22)
  head.writeUInt16LE(1, 26)
  head.writeUInt16LE(24, 28)
  return Buffer.concat([head, ...Array.from({ length: height }, () => row)])
}

/** Two minutes of noise: 16 bits, 44.1 kHz, about 10 MB. */
function sound(): Buffer {
  const rate = 44_100
  const samples = pattern(SECONDS * rate * 2)
  const head = Buffer.alloc(44)
  head.write('RIFF')
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(rate, 24)
  head.writeUInt32LE(rate * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(samples.length, 40)
  return Buffer.concat([head, samples])
}
