// The rules of the house that no linter knows, each a function from the files to what breaks it.
// What they must look like is eslint's, prettier's, rustfmt's and clippy's business.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join, normalize } from 'node:path'

/** Paths, relative to the repository, and what is in them. */
export type Files = Readonly<Record<string, string>>
export type Rule = (files: Files) => string[]

/** Lowest first: a module may import from its own row and from those above it, never in a circle. */
const TYPESCRIPT = [
  [
    'errors',
    'binding',
    'diagnostics',
    'hold-process',
    'node-internals',
    'options',
    'quiet',
    'settings',
    'stats',
  ],
  ['calls', 'capabilities', 'configure', 'ending', 'engine', 'meter', 'pulse'],
  ['endpoint'],
  ['primitives', 'pipe', 'pages', 'delivery', 'fallback', 'move'],
  ['spread', 'transfer', 'plan', 'bridge-by-stream', 'fan-out-by-stream', 'piping'],
  ['fan-out', 'bridge', 'pipeline', 'http'],
  ['register', 'cli'],
]
const RUST = [
  ['mechanism'],
  ['sys'],
  ['config', 'stats'],
  ['kernel'],
  ['beneath', 'capabilities', 'endpoint', 'pipe'],
  ['pool'],
  ['transfer'],
  ['drivers'],
]

/** What stream implementers are told to define; any other leading underscore is Node's own. */
const STREAM_METHODS = ['read', 'write', 'writev', 'final', 'destroy', 'construct', 'transform', 'flush']

const NOT_OURS = ['.git', 'node_modules', 'dist', 'target']
const THESE = ['__test__/house.spec.ts', '__test__/helpers/house.ts']

export function readProject(): Files {
  const paths = walk('.').filter((path) => !THESE.includes(path))
  return Object.fromEntries(paths.map((path) => [path, readFileSync(path, 'utf8')]))
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !NOT_OURS.includes(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return walk(path)
      return ['.ts', '.rs', '.json', '.toml'].includes(extname(path)) ? [path] : []
    })
}

export const shortFiles: Rule = (files) =>
  select(files, /^(src|crates\/[^/]+\/src)\/.*\.(ts|rs)$/)
    .map(([path, text]) => [path, code(path, text).match(/\S.*$/gm)?.length ?? 0] as const)
    .filter(([, lines]) => lines > 300)
    .map(([path, lines]) => `${path}: ${lines} lines of code`)

export const essays: Rule = (files) =>
  select(files, /^(src\/.*\.ts|crates\/[^/]+\/src\/.*\.rs)$/)
    .filter(([path, text]) => !(path.endsWith('.rs') ? /^\/\/! \S/ : /^\/[/*]+\s+\S/).test(text))
    .map(([path]) => `${path}: does not open with what it decides and what it leaves to others`)

/** Nothing but the files at `home` may contain `pattern`. */
const only =
  (pattern: RegExp, scope: RegExp, home: RegExp): Rule =>
  (files) =>
    select(files, scope)
      .filter(([path]) => !home.test(path))
      .flatMap(([path, text]) => {
        const [found] = pattern.exec(code(path, text)) ?? []
        return found === undefined ? [] : [`${path}: ${found}`]
      })

export const oneBinding = only(/#binding/, /^(src|__test__|bench|demo|examples)\//, /^src\/binding\.ts$/)

export const onePrivateReader = only(
  new RegExp(
    String.raw`(?<![\w$])_(?!(${STREAM_METHODS.join('|')})\b)[a-z]\w*|process\.binding|getOwnPropertySymbols`,
    'i',
  ),
  /^src\//,
  /^src\/node-internals[./]/,
)

export const oneSystemFolder = only(/\b(nix|libc)\b/, /^crates\/[^/]+\/src\//, /^crates\/zcio\/src\/sys\//)

export const unsafeAtTheEdges = only(
  /\bunsafe\b/,
  /^crates\/[^/]+\/src\//,
  /^crates\/(zcio\/src\/sys\/|zcio-node\/src\/convert\.rs$)/,
)

export const crateWithoutNode = only(/\bnapi\b/, /^crates\/zcio\//, /^$/)

export const typescriptDirections: Rule = (files) => {
  const imports = Object.fromEntries(
    select(files, /^src\/.*\.ts$/).map(([path, text]) => [path, importsOf(path, code(path, text))]),
  )
  const layer = (path: string): string => path.replace(/^src\//, '').replace(/[./].*$/, '')
  const steps = Object.entries(imports).flatMap(([path, targets]) =>
    targets.flatMap((target) => misstep(TYPESCRIPT, layer(path), layer(target), path)),
  )
  return [...steps, ...circles(imports)]
}

function importsOf(path: string, text: string): string[] {
  return [...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, target = '']) =>
    normalize(join(dirname(path), target)).replace(/\.js$/, '.ts'),
  )
}

function circles(imports: Readonly<Record<string, string[]>>): string[] {
  const clean = new Set<string>()
  const visit = (path: string, trail: string[]): string[] => {
    if (trail.includes(path)) return [`a circle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`]
    if (clean.has(path)) return []
    clean.add(path)
    return (imports[path] ?? []).flatMap((target) => visit(target, [...trail, path]))
  }
  return Object.keys(imports).flatMap((path) => visit(path, []))
}

export const rustDirections: Rule = (files) =>
  select(files, /^crates\/zcio\/src\/.*\.rs$/)
    .filter(([path]) => !path.endsWith('/src/lib.rs'))
    .flatMap(([path, text]) => {
      const [own = ''] = modulePath(path)
      const shipped = code(path, text).replace(/#\[cfg\(test\)\]\s*mod \w+ \{[^]*$/, '')
      return modulesNamed(path, shipped).flatMap((target) => misstep(RUST, own, target, path))
    })

function modulePath(path: string): string[] {
  return path
    .replace(/^.*\/src\//, '')
    .replace(/(\/mod)?\.rs$/, '')
    .split('/')
}

/** The crate's own modules that a file names: after `crate::`, or after enough `super::` to get there. */
function modulesNamed(path: string, text: string): string[] {
  const up = modulePath(path).fill('super').join('::')
  const root = String.raw`\b(?<!::)(?:crate|${up})::`
  const single = [...text.matchAll(new RegExp(String.raw`${root}(\w+)\b(?!!)`, 'g'))]
  const grouped = [...text.matchAll(new RegExp(String.raw`${root}\{([^;]*)\};`, 'g'))]
  const inGroup = grouped.flatMap(([, group = '']) => withoutInnerBraces(group).split(','))
  return [...single.map(([, name = '']) => name), ...inGroup]
    .map((name) => name.trim().replace(/(::| as ).*$/s, ''))
    .filter((name) => name !== '' && name !== 'self')
}

function withoutInnerBraces(group: string): string {
  const inner = group.replace(/\{[^{}]*\}/g, '')
  return inner === group ? group : withoutInnerBraces(inner)
}

function misstep(layers: string[][], own: string, target: string, path: string): string[] {
  const level = (name: string): number => layers.findIndex((layer) => layer.includes(name))
  if (level(own) === -1) return [`${path}: ${own} is in no layer; give it one in __test__/helpers/house.ts`]
  if (level(target) === -1)
    return [`${path}: names ${target}, which is in no layer; name the module it comes from`]
  return level(target) > level(own) ? [`${path}: ${own} must not know ${target}`] : []
}

export const indexWithoutLogic: Rule = (files) =>
  select(files, /^(index\.ts|src\/(.*\/)?index\.ts)$/)
    .filter(([path]) => path !== 'src/register/index.ts')
    .flatMap(([path, text]) =>
      code(path, text)
        .replace(/export (type )?(\*( as \w+)?|\{[^}]*\}) from '[^']+'/g, '')
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => `${path}: ${line.trim()}`),
    )

export const mirror =
  (withoutSpec: Readonly<Record<string, string>>): Rule =>
  (files) => {
    const spec = (path: string): string => path.replace(/^src\//, '__test__/').replace(/\.ts$/, '.spec.ts')
    const sources = select(files, /^src\/.*\.ts$/).map(([path]) => path)
    const untested = sources.filter((path) => !(spec(path) in files) && !(path in withoutSpec))
    const stale = Object.keys(withoutSpec).filter((path) => !sources.includes(path) || spec(path) in files)
    return [
      ...untested.map((path) => `${path}: no ${spec(path)}`),
      ...stale.map((path) => `${path}: needs no exception any more`),
    ]
  }

export const nothingLeftOver: Rule = (files) =>
  select(files, /\.(ts|rs)$/).flatMap(([path, text]) =>
    [
      /\b(TODO|FIXME|XXX)\b/,
      /\btest(\.\w+)*\.(skip|only|todo|failing)\b/,
      /#\[ignore/,
      /eslint-disable(?!.* -- \S)/,
    ].flatMap((pattern) => (pattern.exec(text) ?? []).slice(0, 1).map((found) => `${path}: ${found}`)),
  )

export const words: Rule = (files) =>
  select(files, /^(src|crates\/[^/]+\/src)\/.*\.(ts|rs)$/).flatMap(([path, text]) =>
    [...code(path, text).matchAll(/\b(?:pub|export)\b[\w ]* (?:fn|function) (\w+)[^(]*\(([^)]*)\)/g)]
      .filter(([, , parameters = '']) =>
        /(^|[\s,])(src|dst|dest|from|to|in|out|input|output)\??: (?!usize|[iu]\d|number)/.test(parameters),
      )
      .map(([, name = '']) => `${path}: ${name} says source and sink in words of its own`),
  )

export const oneVersion: Rule = (files) => {
  const version = /^\s*"?version"?\s*[:=]\s*"([^"]+)"/m
  const own = version.exec(files['package.json'] ?? '')?.[1]
  return select(files, /^(npm\/[^/]+\/package\.json|crates\/[^/]+\/Cargo\.toml)$/)
    .filter(([, text]) => version.exec(text)?.[1] !== own)
    .map(([path]) => `${path}: not at ${String(own)}`)
}

function select(files: Files, pattern: RegExp): [path: string, text: string][] {
  return Object.entries(files).filter(([path]) => pattern.test(path))
}

/** Without comments; in Rust also without what is inside strings. Line breaks stay. */
function code(path: string, text: string): string {
  if (path.endsWith('.toml')) return text.replace(/#.*$/gm, '')
  const rust = path.endsWith('.rs')
  const strings = rust
    ? String.raw`"(?:\\[^]|[^"\\])*"|'(?:\\.|[^'\\])'`
    : String.raw`'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"`
  return text.replace(
    new RegExp(String.raw`(${strings})|\/\/.*|\/\*[^]*?\*\/`, 'g'),
    (found, string?: string) => (string !== undefined && !rust ? string : found.replace(/[^\n]/g, ' ')),
  )
}
