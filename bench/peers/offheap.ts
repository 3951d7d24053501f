import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Snapshot } from '../../src/report/schema.js';
import { OFFHEAP } from '../support/builds.js';
import type { Peer } from './peer.js';

/** Ourselves, in the same harness as the others. */
export const OFFHEAP_PEER: Peer = {
  name: 'offheap run',
  note: '',
  pairs: 50_000,
  lacks: () => null,
  wrap: (command, folder) => ({
    command: [
      process.execPath,
      OFFHEAP,
      'run',
      '--quiet',
      '--snapshot',
      join(folder, 'snapshot.json'),
      '--',
    ].concat(command),
  }),
  names: (library, folder) => {
    const { owners }: Snapshot = JSON.parse(readFileSync(join(folder, 'snapshot.json'), 'utf8'));
    const growing = [...owners].sort((a, b) => b.growthBytesPerMinute - a.growthBytesPerMinute);
    return growing[0]?.owner === library;
  },
};
