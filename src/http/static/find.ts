// Which of the files that may answer a request there is: the first of its candidates, or of its compressed siblings.
//
// Twice the same: at once where nothing has to be waited for, which is the rule, and by Node's thread pool.

import { constants } from 'node:os'
import { closeFile, lookBeneath, openBeneath, type Body, type OpenFile } from '../body.js'
import { letGo, reuse } from '../reuse.js'
import type { Candidate, Plan } from './candidate.js'
import type { Encoding, Settings } from './options.js'
import { sibling } from './path.js'

/** A file that answers, or the errno that says why there is none; `EISDIR`: a directory that the path names; `ENXIO`: no file. */
export type Found<File> = { readonly file: File; readonly candidate: Candidate } | number

const { EAGAIN, EISDIR, EMFILE, ENFILE, ENOENT, ENXIO, EXDEV } = constants.errno

/** What may be otherwise soon: the disk has been asked, or the other responses of this turn have closed their files. */
const PASSING: readonly number[] = [EAGAIN, EMFILE, ENFILE]

/** Looks at what is there; undefined where that has to be waited for. */
export function findNow(
  plan: Plan,
  { root }: Settings,
  encodings: readonly Encoding[],
): Found<Body> | undefined {
  let errno: number = ENOENT
  for (const candidate of plan.candidates) {
    const file = reuse(candidate) ?? lookBeneath(root, candidate)
    if (typeof file !== 'number') return compressedNow({ file, candidate }, root, encodings)
    if (PASSING.includes(file)) return undefined
    errno = file
    if (isFinal(plan, candidate, errno)) return errno
  }
  return noneOf(errno)
}

/** Opens what is there. */
export async function findLater(
  plan: Plan,
  { root, walk }: Settings,
  encodings: readonly Encoding[],
): Promise<Found<OpenFile>> {
  let errno: number = ENOENT
  for (const candidate of plan.candidates) {
    const file = await openBeneath(root, candidate.path, walk)
    if (typeof file !== 'number') return compressedLater({ file, candidate }, root, walk, encodings)
    errno = file
    if (isFinal(plan, candidate, errno)) return errno
  }
  return noneOf(errno)
}

/** Others only stand in for what is not there, or lies outside the root, which is the same to whoever asks. */
function isFinal(plan: Plan, candidate: Candidate, errno: number): boolean {
  return plan.isNamed && candidate === plan.candidates[0] && errno !== ENOENT && errno !== EXDEV
}

/** A directory cannot stand in for anything; the one that the path names has ended the search. */
function noneOf(errno: number): number {
  return errno === EISDIR ? ENXIO : errno
}

function compressedNow(
  found: { file: Body; candidate: Candidate },
  root: string,
  encodings: readonly Encoding[],
): Found<Body> | undefined {
  for (const encoding of encodings) {
    const candidate = sibling(found.candidate, encoding)
    // Where there is none nothing is read, and what has been read of the original stays.
    const file = reuse(candidate) ?? lookBeneath(root, candidate)
    if (typeof file === 'number' && !PASSING.includes(file)) continue
    letGo(found.file)
    return typeof file === 'number' ? undefined : { file, candidate }
  }
  return found
}

async function compressedLater(
  found: { file: OpenFile; candidate: Candidate },
  root: string,
  walk: boolean,
  encodings: readonly Encoding[],
): Promise<Found<OpenFile>> {
  for (const encoding of encodings) {
    const candidate = sibling(found.candidate, encoding)
    const file = await openBeneath(root, candidate.path, walk)
    if (typeof file === 'number') continue
    closeFile(found.file)
    return { file, candidate }
  }
  return found
}
