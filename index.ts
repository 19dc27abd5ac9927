// The public face of zcio.

export { bridge, type BridgeOptions, type BridgeProgress } from './src/bridge.js'
export type { BridgeResult } from './src/bridge-by-stream.js'
export {
  capabilities,
  constants,
  isSupported,
  type Capabilities,
  type Capability,
} from './src/capabilities.js'
export type { Sink, Source } from './src/endpoint/classify.js'
export type { Fallback, Mechanism, Progress, TransferError } from './src/errors.js'
export type { TransferResult } from './src/move.js'
export { allocPages, vmspliceSync, type PageBuffers, type VmspliceOptions } from './src/pages.js'
export { pipeline } from './src/pipeline.js'
export { Pipe, PipeEnd, type PipeOptions } from './src/pipe.js'
export { copyFileRangeSync, sendfileSync, spliceSync, teeSync, type Descriptor } from './src/primitives.js'
export type { ProgressReport } from './src/pulse.js'
export { transfer, type TransferOptions } from './src/transfer.js'
