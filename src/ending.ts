// How work of the engine ended, put into results and errors: what the native half says with names and numbers only.

import { constants as os } from 'node:os'
import type { NativeEnding, NativeSink } from './binding.js'
import {
  systemError,
  zcioError,
  type Fallback,
  type Mechanism,
  type Side,
  type TransferError,
} from './errors.js'

/** What the engine reports of a transfer, whichever way it ended. */
export interface Outcome {
  bytes: number
  mechanism: Mechanism
  fallbacks: Fallback[]
  residual: Buffer | undefined
  /** Of a fan-out: what became of each sink. */
  sinks: SinkOutcome[]
  /** Why it ended early. */
  failure: TransferError | undefined
  /** It ended early because it was told to. */
  canceled: boolean
  /** Why the engine cannot have the descriptors though Node's streams can, if that is so. Nothing has moved. */
  declined: string | undefined
}

/** What became of one sink of a fan-out. */
export interface SinkOutcome {
  bytes: number
  mechanism: Mechanism
  /** Why it was left out. */
  error?: TransferError
}

/** The same in JavaScript's words. */
export function translate(ending: NativeEnding): Outcome {
  return {
    bytes: ending.bytes,
    mechanism: ending.mechanism as Mechanism,
    fallbacks: ending.fallbacks as Fallback[],
    residual: ending.residual,
    sinks: ending.sinks?.map(sinkOf) ?? [],
    failure: failureOf(ending),
    canceled: ending.failure === 'CANCELED',
    declined: whyDeclined(ending),
  }
}

/** One would block the engine's thread, or there are too many to have duplicates. */
function whyDeclined({ failure, errno, detail }: NativeEnding): string | undefined {
  if (failure === 'BLOCKING') return failure
  if (failure !== 'SYSTEM' || !BEGINNINGS.includes(detail ?? '')) return undefined
  return errno === os.errno.EMFILE ? 'EMFILE' : errno === os.errno.ENFILE ? 'ENFILE' : undefined
}

/** The calls that make descriptors of the engine's own before a task begins. */
const BEGINNINGS = ['fcntl', 'epoll_create1']

function sinkOf(sink: NativeSink): SinkOutcome {
  const { bytes } = sink
  const mechanism = sink.mechanism as Mechanism
  const error = failureOf({ ...sink, side: 'sink' })
  return error === undefined ? { bytes, mechanism } : { bytes, mechanism, error }
}

type Failed = Pick<NativeEnding, 'failure' | 'errno' | 'detail' | 'side' | 'bytes' | 'residual'>

/** The error of an ending, if it is one. */
export function failureOf({
  failure,
  errno,
  detail,
  side,
  bytes,
  residual,
}: Failed): TransferError | undefined {
  const details = {
    bytes,
    ...(side === undefined ? {} : { side: side as Side }),
    ...(residual === undefined ? {} : { residual }),
  }
  switch (failure) {
    case undefined:
      return undefined
    case 'SYSTEM':
      return systemError(errno ?? 0, detail ?? '', details)
    case 'BUSY':
      return zcioError(
        'ERR_ZCIO_BUSY',
        'another transfer is moving bytes through this pipe or socket in this direction; await it first',
        details,
      )
    case 'TIMED_OUT':
      return systemError(os.errno.ETIMEDOUT, side === 'sink' ? 'write' : 'bridge', details)
    case 'COPY_REQUIRED':
      return zcioError(
        'ERR_ZCIO_COPY_REQUIRED',
        'only a copy through user space can move these bytes; allow it with fallback: true',
        details,
      )
    default:
      return zcioError('ERR_ZCIO_UNSUPPORTED', detail ?? failure, details)
  }
}
