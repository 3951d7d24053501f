import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readOptional } from '../drain/optional-file.js';
import { MappingLedger } from '../ledger/mapping-ledger.js';
import { SiteTable } from '../ledger/site-table.js';
import type { ModuleLogEntry } from './module-log.js';

/** All that is known from the events before `position`. */
export interface Checkpoint {
  position: number;
  ledger: MappingLedger;
  sites: SiteTable;
  modules: readonly ModuleLogEntry[];
}

interface Head {
  format: 'offheap.checkpoint/1';
  position: number;
  ledgerBytes: number;
  sitesBytes: number;
  modules: readonly ModuleLogEntry[];
}

/**
 * What a collector knows of the events whose ring slots it has given back, beside the channel, so that one that is
 * killed and started again has lost nothing. A line of JSON, then the ledger's and the site table's bytes.
 */
export class CheckpointFile {
  readonly #path: string;

  constructor(channelPath: string) {
    this.#path = `${channelPath}.ledger`;
  }

  /** False where there is no room for it, or no permission. */
  write({ position, ledger, sites, modules }: Checkpoint): boolean {
    const ledgerPart = ledger.serialize();
    const sitesPart = sites.serialize();
    const head: Head = {
      format: 'offheap.checkpoint/1',
      position,
      ledgerBytes: ledgerPart.byteLength,
      sitesBytes: sitesPart.byteLength,
      modules,
    };
    // Renamed into place: whoever reads finds the old one or the new one, never half of one.
    const fresh = `${this.#path}.new`;
    const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ledgerPart, sitesPart]);
    try {
      writeFileSync(fresh, bytes, { mode: 0o600 });
      renameSync(fresh, this.#path);
      return true;
    } catch {
      rmSync(fresh, { force: true });
      return false;
    }
  }

  /**
   * The checkpoint that ends at `from`, where what the channel still holds begins, or behind it: the collector may have
   * been killed before it gave the slots back. Undefined where there is none, or none that can be trusted.
   */
  read(from: number): Checkpoint | undefined {
    return readOptional(this.#path, (path) => {
      const bytes = readFileSync(path);
      const lineEnd = bytes.indexOf(10);
      const head = JSON.parse(bytes.subarray(0, lineEnd).toString()) as Head;
      if (head.format !== 'offheap.checkpoint/1' || head.position < from) return undefined;
      const ledgerAt = lineEnd + 1;
      const sitesAt = ledgerAt + head.ledgerBytes;
      return {
        position: head.position,
        ledger: MappingLedger.restore(new Uint8Array(bytes.subarray(ledgerAt, sitesAt))),
        sites: SiteTable.restore(new Uint8Array(bytes.subarray(sitesAt, sitesAt + head.sitesBytes))),
        modules: head.modules,
      };
    });
  }

  remove(): void {
    if (existsSync(this.#path)) rmSync(this.#path, { force: true });
  }
}
