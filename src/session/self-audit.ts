import { mappedBytes } from '../account/rollup.js';
import { OffheapError } from '../wire/error.js';
import type { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import { overwrittenSites } from './site-check.js';
import { unexplainedRanges } from './snapshot-mappings.js';

/** Share of the collector's time that walking the target's areas may take, once something differs. */
const TIME_SHARE = 0.001;

/** Memory that the kernel has and nobody was seen to map. */
export interface Gap {
  reason: string;
  bytes: number;
}

/**
 * Holds the ledger against the kernel all the time. What the kernel counts as mapped is the sum of the ledger's ranges, to
 * the byte: one small file read tells. Only where they differ, and go on to differ, are the areas walked.
 */
export class SelfAudit {
  #suspects = false;
  #notBeforeMs = 0;
  #knownBytes = 0;

  constructor(
    private readonly facts: ProcessFacts,
    private readonly tell: (gap: Gap) => void,
  ) {}

  /** To be called when all that has been recorded is taken in. */
  check(recording: ProcessRecording): void {
    const { ledger } = recording;
    const differs = this.#mappedBytes() !== ledger.liveBytes + ledger.fileBytes;
    // Once means little: a call may be under way.
    const walks = differs && this.#suspects && performance.now() >= this.#notBeforeMs;
    this.#suspects = differs;
    if (!differs) this.#knownBytes = 0;
    if (walks) this.#walk(recording);
  }

  #walk(recording: ProcessRecording): void {
    const started = performance.now();
    const bytes = unexplainedRanges(recording, this.facts).reduce(
      (sum, { start, end }) => sum + end - start,
      0,
    );
    const ended = performance.now();
    this.#notBeforeMs = ended + (ended - started) / TIME_SHARE;
    if (bytes > this.#knownBytes) this.tell({ reason: likelyCause(recording), bytes });
    this.#knownBytes = bytes;
  }

  #mappedBytes(): number {
    try {
      return mappedBytes(this.facts.pid);
    } catch (error) {
      if (error instanceof OffheapError) return 0;
      throw error;
    }
  }
}

function likelyCause({ drain, header }: ProcessRecording): string {
  const what = 'some ranges were mapped by nobody that was seen';
  const lost = Object.values(drain.lost).reduce((sum, count) => sum + count, 0);
  if (lost > 0) return `${what}: ${lost} events were lost`;
  const sites = drain.channel.sites();
  const overwritten = overwrittenSites(header.processId, sites);
  if (overwritten > 0) return `${what}: another hooker has overwritten ${overwritten} system-call sites`;
  const unseen = sites.filter(({ state }) => state === 'unpatchable').length;
  if (unseen > 0) return `${what}: ${unseen} system-call sites could not be rewritten`;
  return `${what}: a system call in code that was made at run time, or was not found`;
}
