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
export { configure } from './src/configure.js'
export type { TransferTrace } from './src/diagnostics.js'
export type { Sink, Source } from './src/endpoint/classify.js'
export type { Fallback, Mechanism, Progress, TransferError } from './src/errors.js'
export type { SinkOutcome } from './src/ending.js'
export { fanOut, type FanOutOptions } from './src/fan-out.js'
export type { FanOutResult } from './src/spread.js'
export type { TransferResult } from './src/move.js'
export { allocPages, vmsplice, vmspliceSync, type PageBuffers, type VmspliceOptions } from './src/pages.js'
export { pipeline } from './src/pipeline.js'
export { Pipe, PipeEnd, type PipeOptions } from './src/pipe.js'
export { plan, type Plan, type PlannedMechanism, type RefusedMechanism } from './src/plan.js'
export {
  copyFileRange,
  copyFileRangeSync,
  sendfile,
  sendfileSync,
  splice,
  spliceSync,
  tee,
  teeSync,
  type Descriptor,
} from './src/primitives.js'
export type { ProgressReport } from './src/pulse.js'
export type { ConfigureOptions, KernelMechanism, Settings, Switch } from './src/settings.js'
export { stats, type Stats } from './src/stats.js'
export { transfer, type TransferOptions } from './src/transfer.js'
