export type { Snapshot, SnapshotFrame, SnapshotMapping, SnapshotOwner } from './report/schema.js';
export * from './session/index.js';
export { OffheapError } from './wire/error.js';
