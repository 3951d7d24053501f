import { OWNER_MAIN_STACK } from '../ledger/attribution.js';
import type { Holder } from './claims.js';
import type { ProcMapping } from './maps.js';
import type { AccountKind } from './tree.js';

/** The branches of the account, as they are named on the terminal. */
export const CATEGORIES = {
  allocators: 'allocators',
  anonymous: 'anonymous memory',
  'thread-stacks': 'thread stacks',
  'main-stack': 'main stack',
  files: 'files',
  shared: 'shared memory',
  devices: 'devices',
  kernel: 'made by the kernel',
  profiler: 'offheap',
  unexplained: 'unexplained',
} as const satisfies Partial<Record<AccountKind, string>>;

export type Category = keyof typeof CATEGORIES;

/** The shim, and the file that it records into. */
const OWN_FILES = /\/(liboffheap\.so|\d+-[0-9a-f]{1,16}\.channel)$/;
const DEVICE_FILES = /^\/dev\/(?!shm\/|hugepages\/|zero$)/;
/** Memory that is reached by a descriptor which is no file's: DMA buffers, rings of io_uring and perf. */
const DESCRIPTORS = /^(\/dmabuf|anon_inode:)/;

/** In which branch a piece of an area stands. The kernel says what it is, the ledger whose. */
export function categoryOf(area: ProcMapping, holder: Holder | undefined): Category {
  const { kind, path } = area;
  if (holder?.kind === 'profiler' || OWN_FILES.test(path)) return 'profiler';
  if (kind === 'kernel') return 'kernel';
  if (path === '[stack]') return 'main-stack';
  if (kind === 'file') return DEVICE_FILES.test(path) || DESCRIPTORS.test(path) ? 'devices' : 'files';
  // Shared memory with a name tells at least by what others know it.
  if (kind === 'sharedFile') return 'shared';
  if (holder === undefined || holder.kind === 'unexplained') return 'unexplained';
  if (kind === 'sharedAnonymous') return 'shared';
  switch (holder.kind) {
    case 'stack':
      return holder.owner === OWNER_MAIN_STACK ? 'main-stack' : 'thread-stacks';
    case 'allocator':
      return 'allocators';
    case 'kernel':
      return 'kernel';
    default:
      return 'anonymous';
  }
}
