// What a transfer would do, and why, without doing it: the same questions in the same order, asked of ends that stay as
// they are.

import { binding } from './binding.js'
import { classifySink, classifySource, type Sink, type Source } from './endpoint/classify.js'
import { foreseeSink, foreseeSource, type Foreseen } from './endpoint/foresee.js'
import { bestMechanism } from './endpoint/route.js'
import { failureOf } from './ending.js'
import type { Fallback, Mechanism } from './errors.js'
import { shortest } from './options.js'
import { checkTransfer, type TransferOptions } from './transfer.js'

/** A mechanism that a transfer would try. */
export interface PlannedMechanism {
  mechanism: Mechanism
  /** What it does, and what it depends on where only the kernel can tell. */
  reason: string
}

/** A mechanism that a transfer would not try. */
export interface RefusedMechanism extends Fallback {
  /** `code` in words. */
  reason: string
}

/** What a transfer would do. */
export interface Plan {
  /**
   * The mechanisms it would try, best first: the next takes over, at the exact byte, where the kernel refuses one. None:
   * it would reject with `ERR_ZCIO_COPY_REQUIRED`.
   */
  mechanisms: PlannedMechanism[]
  /** The better ones that it would not try: they will be in the result's `fallbacks`, with the same code. */
  refused: RefusedMechanism[]
}

/**
 * Tells what `transfer` would do with the same arguments, and why. Nothing moves, no stream starts or stops, no file is
 * created. The answer holds for now: a stream that begins to flow, or a header that is set, changes it.
 *
 * @throws what `transfer` would reject with at once, but for ERR_ZCIO_COPY_REQUIRED; what opening a stream's file, or a
 *   busy pipe, might refuse is not foreseen
 */
export function plan(source: Source, sink: Sink, options?: TransferOptions): Plan {
  const wanted = checkTransfer(options)
  const [from, to] = [classifySource(source), classifySink(sink)]
  const reader = foreseeSource(from, wanted.start)
  const stepAside = (code: string): Plan => byStream(bestMechanism(from, to), code, wanted.fallback)
  if ('refused' in reader) return stepAside(reader.refused)
  try {
    const writer = foreseeSink(to)
    if ('refused' in writer) return stepAside(writer.refused)
    try {
      return reader.blocks || writer.blocks
        ? stepAside('BLOCKING')
        : planBetween(reader, writer, wanted, stepAside)
    } finally {
      writer.close?.()
    }
  } finally {
    reader.close?.()
  }
}

function planBetween(
  source: Foreseen,
  sink: Foreseen,
  wanted: ReturnType<typeof checkTransfer>,
  stepAside: (code: string) => Plan,
): Plan {
  const rungs = binding().plan(
    told(source),
    told(sink),
    source.start,
    wanted.sinkStart ?? sink.start,
    shortest(wanted.length, source.length, sink.length),
    wanted.fallback,
    wanted.snapshot,
    wanted.disable,
  )
  if (!Array.isArray(rungs)) {
    if (rungs.failure === 'BLOCKING') return stepAside('BLOCKING')
    throw failureOf(rungs) ?? new Error('a plan failed without a reason')
  }
  const plan: Plan = { mechanisms: [], refused: [] }
  for (const rung of rungs) {
    const { reason, refused: code } = rung
    const mechanism = rung.mechanism as Mechanism
    if (code === undefined) plan.mechanisms.push({ mechanism, reason })
    else plan.refused.push({ mechanism, code, reason })
  }
  return plan
}

function told({ descriptor, unopened }: Foreseen): Parameters<ReturnType<typeof binding>['plan']>[0] {
  return {
    ...(descriptor === undefined ? {} : { descriptor }),
    ...(unopened === undefined ? {} : { unopened }),
  }
}

function byStream(mechanism: Mechanism, code: string, fallback: boolean): Plan {
  const refused: RefusedMechanism = { mechanism, code, reason: REASONS[code] ?? code }
  if (fallback)
    return { mechanisms: [{ mechanism: 'stream', reason: 'Node reads and writes' }], refused: [refused] }
  const forbidden = "Node's streams copy, and fallback is off"
  return {
    mechanisms: [],
    refused: [refused, { mechanism: 'stream', code: 'COPY_REQUIRED', reason: forbidden }],
  }
}

/** Why Node itself has to move bytes. */
const REASONS: Readonly<Record<string, string>> = {
  BLOCKING: 'a descriptor without O_NONBLOCK would hold up the thread that serves all transfers',
  CHUNKED:
    'the response declares no Content-Length, so its body is sent in chunks, which only Node can frame',
  CORKED: 'the stream is corked: what is behind the cork would come after what is moved past it',
  ENCODING: 'the stream decodes what it reads',
  ENDED: 'the socket has ended: what is left of it is in Node',
  FS: 'the stream was given an fs of its own: what it reads or writes need not be what its descriptor holds',
  FLOWING: 'Node has begun to read the stream',
  HTTP_PARSER: "Node's HTTP parser reads the socket",
  NODE_INTERNALS:
    'this version of Node has not the private fields that sockets and responses are borrowed by',
  NO_DESCRIPTOR: 'the socket has no descriptor',
  OBJECT_MODE: 'the stream is in object mode',
  OVERRIDDEN: 'push, read, emit or _read have been replaced: somebody wants to see the bytes, or has others',
  STREAM: 'the stream has no descriptor of its own, or is read and written by JavaScript',
  STRICT_CONTENT_LENGTH: 'the response counts what JavaScript writes: strictContentLength',
  TLS: 'the bytes have to be encrypted by Node',
  UNSUPPORTED: 'there is no native half here: isSupported() is false, and capabilities() tells why',
  WRAPPED: 'write or end have been replaced: somebody wants to see the bytes',
}
