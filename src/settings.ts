// Limits and switches: their names, their ranges, and what the environment says of them. The native half keeps them,
// one set for the whole process.

import { invalidType, invalidValue, outOfRange, type Mechanism } from './errors.js'
import { checkOptions } from './options.js'

/** A mechanism that can be switched off. Copying cannot: `fallback: false` forbids it. */
export type KernelMechanism = Exclude<Mechanism, 'read_write' | 'stream'>

/** A mechanism that is switched off where an end is a regular file on one kind of file system. */
export interface Switch {
  /** The mechanism. */
  mechanism: KernelMechanism
  /**
   * The file system: its name as in /proc/filesystems (`'xfs'`, `'overlay'`), or its magic number, the `f_type` of
   * statfs(2), for one that zcio has no name for. Absent: all, and sockets and pipes as well.
   */
  fileSystem?: string | number
}

/** Options of {@link configure}; what is absent stays as it is. */
export interface ConfigureOptions {
  /**
   * Threads that may wait for disks: an integer from 1 to 128; 4 at first. More are started when they are needed;
   * those beyond a lowered limit end when they have done what they are doing. `ZCIO_DISK_THREADS`.
   */
  diskThreads?: number
  /**
   * To this length, in bytes, a body in memory is sent on the JavaScript thread: an integer from 0 to 1048576; 65536
   * at first, some 15 µs. 0 leaves all that have a length to the engine's threads. `ZCIO_INLINE_MAX`.
   */
  inlineMax?: number
  /**
   * Bytes by which the pipes of relays may be grown beyond the 64 KiB they have at first, all together: an integer from
   * 0; a quarter of what the user may have in pipes at first. Grown pipes stay so until they are closed.
   * `ZCIO_PIPE_BUDGET`.
   */
  pipeBudget?: number
  /**
   * All that is to be switched off; what is not named is on again. Holds for transfers that start from now on.
   * `ZCIO_DISABLE=splice,copy_file_range@xfs`.
   */
  disable?: readonly (KernelMechanism | Switch)[]
}

/** What {@link ConfigureOptions} have come to; `pipeBudget` is absent while it is the default. */
export interface Settings {
  diskThreads: number
  inlineMax: number
  pipeBudget?: number
  disable: Switch[]
}

const OPTIONS = ['diskThreads', 'inlineMax', 'pipeBudget', 'disable'] as const
const MECHANISMS: readonly string[] = ['reflink', 'copy_file_range', 'sendfile', 'splice']

/** The least and the most of each limit. One mebibyte is what the engine moves at a turn. */
const RANGES = { diskThreads: [1, 128], inlineMax: [0, 1 << 20], pipeBudget: [0, 2 ** 40] } as const
const LIMITS = ['diskThreads', 'inlineMax', 'pipeBudget'] as const

/** Checks the options of `configure`; `fileSystems` are the names that the native half knows, where there is one. */
export function checkSettings(given: ConfigureOptions, fileSystems?: readonly string[]): Partial<Settings> {
  const options = checkOptions(given, OPTIONS)
  const settings: Partial<Settings> = {}
  for (const name of LIMITS) {
    const value: unknown = options[name]
    if (value !== undefined) settings[name] = checkLimit(`options.${name}`, name, value)
  }
  if (options.disable !== undefined)
    settings.disable = checkSwitches('options.disable', options.disable, fileSystems)
  return settings
}

/** Checks a list of mechanisms that one transfer is not to use. */
export function checkMechanisms(name: string, value: unknown): KernelMechanism[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw invalidType(name, 'an array', value)
  return value.map((entry: unknown, index) => checkMechanism(`${name}[${index}]`, entry))
}

/** What the environment sets, and what is wrong with the rest of it. */
export function fromEnvironment(
  environment: NodeJS.ProcessEnv,
  fileSystems: readonly string[],
): { settings: Partial<Settings>; wrong: string[] } {
  const settings: Partial<Settings> = {}
  const wrong: string[] = []
  const read = (variable: string, value: string | undefined, set: (value: string) => void): void => {
    if (value === undefined || value === '') return
    try {
      set(value)
    } catch (error) {
      wrong.push(`${variable}=${value} is ignored. ${(error as Error).message}`)
    }
  }
  for (const name of LIMITS) {
    const variable = VARIABLES[name]
    read(
      variable,
      environment[variable],
      (value) => (settings[name] = checkLimit(variable, name, numberOf(value))),
    )
  }
  // One by one: who means to switch two off is better off with one than with none.
  for (const part of environment.ZCIO_DISABLE?.split(',') ?? []) {
    read('ZCIO_DISABLE', part, (value) => {
      const [off] = checkSwitches('ZCIO_DISABLE', [switchOf(value)], fileSystems)
      if (off !== undefined) settings.disable = [...(settings.disable ?? []), off]
    })
  }
  return { settings, wrong }
}

const VARIABLES = {
  diskThreads: 'ZCIO_DISK_THREADS',
  inlineMax: 'ZCIO_INLINE_MAX',
  pipeBudget: 'ZCIO_PIPE_BUDGET',
} as const

function checkLimit(name: string, limit: keyof typeof RANGES, value: unknown): number {
  const [least, most] = RANGES[limit]
  const range = `an integer >= ${least} and <= ${most}`
  if (typeof value === 'string') throw outOfRange(name, range, value)
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!Number.isInteger(value) || value < least || value > most) throw outOfRange(name, range, value)
  return value
}

function checkSwitches(name: string, value: unknown, fileSystems: readonly string[] | undefined): Switch[] {
  if (!Array.isArray(value)) throw invalidType(name, 'an array', value)
  return value.map((entry: unknown, index) => {
    const path = name.startsWith('ZCIO_') ? name : `${name}[${index}]`
    if (typeof entry !== 'object' || entry === null) return { mechanism: checkMechanism(path, entry) }
    const { mechanism, fileSystem } = checkOptions(entry as Switch, ['mechanism', 'fileSystem'], path)
    const checked = checkMechanism(`${path}.mechanism`, mechanism)
    if (fileSystem === undefined) return { mechanism: checked }
    return { mechanism: checked, fileSystem: checkFileSystem(`${path}.fileSystem`, fileSystem, fileSystems) }
  })
}

function checkMechanism(name: string, value: unknown): KernelMechanism {
  if (typeof value !== 'string') throw invalidType(name, 'the name of a mechanism', value)
  if (value === 'read_write' || value === 'stream')
    throw invalidValue(name, value, 'cannot be a copy; forbid those with fallback: false')
  if (!MECHANISMS.includes(value))
    throw invalidValue(name, value, `must be a mechanism: ${MECHANISMS.join(', ')}`)
  return value as KernelMechanism
}

function checkFileSystem(
  name: string,
  value: unknown,
  known: readonly string[] | undefined,
): string | number {
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
      throw outOfRange(name, 'the f_type of statfs(2): an integer >= 0 and <= 4294967295', value)
    return value
  }
  if (typeof value !== 'string') throw invalidType(name, 'a string or a number', value)
  if (known !== undefined && !known.includes(value))
    throw invalidValue(
      name,
      value,
      `must be one of ${known.join(', ')}, or the number that statfs(2) has for it in f_type`,
    )
  return value
}

/** What is not made of digits stays a string, to be refused as what it is. */
function numberOf(value: string): number | string {
  return /^\s*\d+\s*$/.test(value) ? Number(value) : value
}

function switchOf(value: string): unknown {
  const [mechanism = '', fileSystem] = value.trim().split('@')
  if (fileSystem === undefined) return mechanism
  return { mechanism, fileSystem: /^(\d+|0x[\da-f]+)$/i.test(fileSystem) ? Number(fileSystem) : fileSystem }
}
