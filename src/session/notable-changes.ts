import type { EventEmitter } from 'node:events';
import type { Snapshot } from '../report/schema.js';
import type { SessionEvents } from './session.js';

/** An owner that grows faster than this is worth a `growth` event. */
const NOTABLE_BYTES_PER_MINUTE = 10e6;

/** Tells a session's listeners what a new snapshot shows. */
export class NotableChanges {
  constructor(private readonly session: EventEmitter<SessionEvents>) {}

  tell(snapshot: Snapshot): void {
    this.session.emit('snapshot', snapshot);
    for (const owner of snapshot.owners) {
      if (owner.growthBytesPerMinute >= NOTABLE_BYTES_PER_MINUTE) this.session.emit('growth', owner);
    }
  }
}
