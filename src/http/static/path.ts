// From the path of a request to the files that may answer it, without asking the file system: that nothing outside the
// root is reached is the kernel's business, not this file's. What it refuses it refuses as serve-static does.

import { extname, join, normalize } from 'node:path'
import { contentType } from 'mime-types'
import type { Candidate, Plan } from './candidate.js'
import type { Encoding, Settings } from './options.js'

const UP = /(?:^|[\\/])\.\.(?:[\\/]|$)/
const DOTFILE = /(?:^|\/)\.[^/]/
const SUFFIXES: Record<Encoding, string> = { br: '.br', zstd: '.zst', gzip: '.gz' }

/** What to try for the path of a URL, still encoded; a number is the status of its refusal. */
export function plan(pathname: string, settings: Settings): Plan | 400 | 403 | 404 {
  const decoded = decode(pathname)
  if (decoded === undefined || decoded.includes('\0')) return 400
  const path = decoded === '' ? '.' : normalize(`./${decoded}`)
  if (UP.test(path)) return 403
  if (settings.dotfiles !== 'allow' && DOTFILE.test(path)) return settings.dotfiles === 'deny' ? 403 : 404
  const isFolder = pathname.endsWith('/')
  if (isFolder && settings.index.length > 0) {
    return {
      candidates: candidates(
        settings,
        settings.index.map((name) => join(path, name)),
      ),
      isNamed: false,
      isFolder,
    }
  }
  return { candidates: candidates(settings, [path, ...extended(path, settings)]), isNamed: true, isFolder }
}

/** A file's compressed sibling; where there is one is another question. */
export function sibling(original: Candidate, encoding: Encoding): Candidate {
  const siblings = (original.siblings ??= new Map<Encoding, Candidate>())
  let found = siblings.get(encoding)
  if (found === undefined) {
    const path = original.path + SUFFIXES[encoding]
    const straight = original.straight && original.straight + SUFFIXES[encoding]
    found = { ...original, path, straight, encoding, siblings: undefined, head: undefined }
    siblings.set(encoding, found)
  }
  return found
}

function candidates({ root }: Settings, paths: readonly string[]): Candidate[] {
  return paths.map((path) => {
    const type = contentType(extname(path)) || 'application/octet-stream'
    // The names of indexes and extensions are the application's, and may lead up.
    const straight = UP.test(path) ? undefined : `${root}/${path}`
    return { path, straight, type, encoding: undefined, original: path, siblings: undefined, head: undefined }
  })
}

function decode(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return undefined
  }
}

function extended(path: string, { extensions }: Settings): string[] {
  const isName = path !== '.' && !path.endsWith('/') && extname(path) === ''
  return isName ? extensions.map((extension) => `${path}.${extension}`) : []
}
