import { compareRanges, intersectRanges } from '../account/compare.js';
import type { Range } from '../account/maps.js';
import { examinationRefusal } from '../account/process-file.js';
import { mainStackBytes, mappedBytes } from '../account/rollup.js';
import { formatBytes } from '../report/bytes.js';
import { OffheapError } from '../wire/error.js';
import { GapCauses } from './gap-cause.js';
import type { ProcessFacts } from './process-facts.js';
import type { ProcessRecording } from './recording.js';
import { unexplainedRanges } from './snapshot-mappings.js';

/** Share of the collector's time that walking the target's areas may take, once something differs. */
const TIME_SHARE = 0.001;
/** And while it differs by as much as when they were walked last: most likely by the same. */
const UNCHANGED_TIME_SHARE = 0.0002;

/** Memory that the kernel has and nobody was seen to map. */
export interface Gap {
  /** What is missing and its likely cause: one line. */
  reason: string;
  bytes: number;
  /** The largest of the ranges that nobody was seen to map; none where the areas may not be read. */
  ranges: { start: string; bytes: number }[];
}

const MOST_RANGES = 16;

/** What was missing when it was looked at, less what has been told since to be mapped there. */
interface Suspicion {
  recording: ProcessRecording;
  ranges: Range[];
  walkMs: number;
}

/**
 * Holds the ledger against the kernel all the time. What the kernel counts as mapped is the sum of the ledger's ranges, to
 * the byte: one small file read tells. Only where they differ, and go on to differ, are the areas walked, twice: a thread
 * that is stopped between a call and its record has mapped what it will tell, maybe at the same address again and again.
 */
export class SelfAudit {
  readonly #causes = new GapCauses();
  #differed = false;
  #suspicion: Suspicion | undefined;
  #notBeforeMs = 0;
  /** By how many bytes it differed when the areas were walked last, and until when that is taken for the same. */
  #walkedBytes = 0;
  #unchangedUntilMs = 0;
  #gap: Gap | undefined;

  constructor(
    private readonly facts: ProcessFacts,
    private readonly tell: (gap: Gap) => void,
  ) {}

  /** What nobody was seen to map, as it was told last; none once it is gone. */
  get gap(): Gap | undefined {
    return this.#gap;
  }

  /** To be called when all that has been recorded is taken in. */
  check(recording: ProcessRecording): void {
    const { ledger } = recording;
    const differenceBytes = this.#mappedBytes() - ledger.liveBytes - ledger.fileBytes;
    const differs = differenceBytes !== 0;
    const goesOn = differs && this.#differed;
    this.#differed = differs;
    if (this.#suspicion !== undefined && this.#suspicion.recording !== recording) this.#dropSuspicion();
    if (!differs) {
      this.#gap = undefined;
      this.#unchangedUntilMs = 0;
      this.#dropSuspicion();
    }
    if (!goesOn) return;
    const refusal = examinationRefusal(this.facts.pid);
    if (refusal !== null) this.#unlocated(recording, refusal);
    else if (this.#suspicion !== undefined) this.#confirm(recording, this.#suspicion);
    else if (this.#isDue(differenceBytes)) this.#suspect(recording);
    else return;
    this.#walkedBytes = differenceBytes;
  }

  #isDue(differenceBytes: number): boolean {
    const isSame = differenceBytes === this.#walkedBytes;
    return performance.now() >= (isSame ? this.#unchangedUntilMs : this.#notBeforeMs);
  }

  /** What differs, where the areas may not be read: how much is known, and not where. */
  #unlocated({ ledger }: ProcessRecording, refusal: string): void {
    // The kernel extends the main stack by itself.
    let stackBytes = -mainStackBytes(this.facts.pid);
    for (const { start, end, origin } of ledger.ranges()) if (origin.growsDown) stackBytes += end - start;
    const bytes = this.#mappedBytes() - ledger.liveBytes - ledger.fileBytes + stackBytes;
    const grows = bytes > (this.#gap?.bytes ?? 0);
    const what = `${formatBytes(bytes)} were mapped by nobody that was seen; where is not known`;
    this.#gap = bytes <= 0 ? undefined : { reason: `${what}: ${refusal}`, bytes, ranges: [] };
    if (grows && this.#gap !== undefined) this.tell(this.#gap);
  }

  #suspect(recording: ProcessRecording): void {
    const { missing, walkMs } = this.#walk(recording);
    if (missing.length === 0) {
      this.#gap = undefined;
      this.#rest(walkMs);
      return;
    }
    const suspicion = { recording, ranges: missing, walkMs };
    this.#suspicion = suspicion;
    recording.onMapped = (start, bytes) => {
      const told = [{ start, end: start + bytes }];
      suspicion.ranges = compareRanges(told, suspicion.ranges).missingInLedger;
    };
  }

  #confirm(recording: ProcessRecording, suspicion: Suspicion): void {
    const { missing, walkMs } = this.#walk(recording);
    this.#dropSuspicion();
    this.#rest(suspicion.walkMs + walkMs);
    const ranges = intersectRanges(suspicion.ranges, missing);
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    if (bytes === 0) {
      this.#gap = undefined;
      return;
    }
    const known = this.#gap;
    const grows = bytes > (known?.bytes ?? 0);
    const reason = grows || known === undefined ? reasonOf(bytes, this.#causes.of(recording)) : known.reason;
    this.#gap = { reason, bytes, ranges: largest(ranges) };
    if (grows) this.tell(this.#gap);
  }

  #walk(recording: ProcessRecording): { missing: Range[]; walkMs: number } {
    const started = performance.now();
    const missing = unexplainedRanges(recording, this.facts);
    return { missing, walkMs: performance.now() - started };
  }

  #rest(walkMs: number): void {
    this.#notBeforeMs = performance.now() + walkMs / TIME_SHARE;
    this.#unchangedUntilMs = performance.now() + walkMs / UNCHANGED_TIME_SHARE;
  }

  #dropSuspicion(): void {
    if (this.#suspicion === undefined) return;
    this.#suspicion.recording.onMapped = undefined;
    this.#suspicion = undefined;
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

function reasonOf(bytes: number, cause: string): string {
  return `${formatBytes(bytes)} were mapped by nobody that was seen; most likely ${cause}`;
}

function largest(ranges: readonly Range[]): Gap['ranges'] {
  return [...ranges]
    .sort((a, b) => b.end - b.start - (a.end - a.start))
    .slice(0, MOST_RANGES)
    .map(({ start, end }) => ({ start: `0x${start.toString(16)}`, bytes: end - start }));
}
