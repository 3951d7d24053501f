export { defaultDirectory } from '../drain/directory.js';
export type {
  AccountNode,
  AccountReport,
  AccountUnexplained,
  HeapCounts,
  HeapPin,
  HeapSavings,
  Snapshot,
  SnapshotFrame,
  SnapshotHeap,
  SnapshotHeapOwner,
  SnapshotHeapSite,
  SnapshotMapping,
  SnapshotOwner,
  TrimReport,
} from '../report/schema.js';
export { OffheapError } from '../wire/error.js';
export { accountUnrecorded } from './account.js';
export type { AttachOptions } from './attach.js';
export { attach } from './attach.js';
export type { LaunchedSession, LaunchOptions } from './launch.js';
export { launch } from './launch.js';
export type { ProcessEntry } from './processes.js';
export { listProcesses } from './processes.js';
export type {
  FlamegraphFile,
  FlamegraphFormat,
  FlamegraphOptions,
  FrameFilter,
  HeapAgeBin,
  HeapLeak,
  HeapMode,
  HeapSite,
  HeapSizeBin,
  HeapThread,
  HeapView,
  LedgerView,
  PagemapOptions,
  Session,
  SessionEvents,
  SnapshotDiff,
  StackSite,
} from './session.js';
export { shimPath } from './shim.js';
