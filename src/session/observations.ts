import type { AccountHistory } from '../account/history.js';
import type { SnapshotHooker } from '../report/schema.js';
import { AccountSampler } from './account-sampler.js';
import { claimsOf } from './claims.js';
import { HookCanary } from './hook-canary.js';
import type { Ended, ProcessFacts } from './process-facts.js';
import type { Program } from './program.js';
import type { ProcessRecording } from './recording.js';
import { ResidencySampler } from './residency-sampler.js';
import { type Gap, SelfAudit } from './self-audit.js';

/** Whether other hookers are well is looked at so often, and for each snapshot. */
const CANARY_MS = 5000;
/** How long a sleeping program's allocator is waited for where nobody asks. */
const HASTE_MS = 20;

export interface ObservationsOptions {
  /** Share of the collector's time that accounts may take which are kept for their history and for verdicts. */
  accountTimeShare?: number | undefined;
  /** Told of memory that nobody was seen to map. */
  onGap: (gap: Pick<Gap, 'reason' | 'bytes'>) => void;
}

/** All that a process is looked at for again and again, beside what it records: what only the kernel and its memory tell. */
export class Observations {
  readonly residency: ResidencySampler;
  readonly #audit: SelfAudit;
  readonly #accounts: AccountSampler;
  readonly #canary = new HookCanary();
  #canaryDueMs = 0;
  readonly #otherGaps: string[] = [];

  constructor(
    private readonly facts: ProcessFacts,
    private readonly options: ObservationsOptions,
  ) {
    this.residency = new ResidencySampler(facts);
    this.#audit = new SelfAudit(facts, options.onGap);
    this.#accounts = new AccountSampler(facts, options.accountTimeShare);
  }

  /** To be called when all that has been recorded is taken in. */
  sample(program: Program): void {
    const { recording } = program;
    this.#audit.check(recording);
    this.hearWitness(recording);
    if (performance.now() >= this.#canaryDueMs) this.checkHooks(recording);
    recording.followJit();
    this.residency.sample(recording.ledger);
    this.#accounts.sample(
      program.allocators(HASTE_MS),
      () => claimsOf(recording, program.attributions, this.facts),
      (tree) => program.sampleMemory(tree),
    );
    program.sampleGrowth();
  }

  /** Whether other hookers hear what they hook, by the calls until now. */
  checkHooks(recording: ProcessRecording): void {
    this.#canary.check(recording);
    this.#canaryDueMs = performance.now() + CANARY_MS;
  }

  /** Holds the recording against the kernel's perf records, where somebody asked for them. */
  hearWitness(recording: ProcessRecording, ended?: Ended): void {
    if (recording.witness?.look(recording, ended?.state) !== true) return;
    this.options.onGap({ reason: recording.witness.gap!, bytes: 0 });
  }

  /** What somebody else has found to be missing: one line. */
  addGap(reason: string): void {
    this.#otherGaps.push(reason);
    this.options.onGap({ reason, bytes: 0 });
  }

  /** What is missing by now, one line each. */
  gaps(recording: ProcessRecording | undefined): string[] {
    const found = [this.#audit.gap?.reason, recording?.witness?.gap];
    return [...found.filter((reason) => reason !== undefined), ...this.#otherGaps];
  }

  /** What is unexplained and of which not even the place is known. */
  get unlocatedBytes(): number {
    return this.#audit.gap?.ranges.length === 0 ? this.#audit.gap.bytes : 0;
  }

  get accountHistory(): AccountHistory {
    return this.#accounts.history;
  }

  get hookers(): SnapshotHooker[] {
    return this.#canary.hookers;
  }

  /** One line for each hooker that no longer hears what it has hooked. */
  observerEffects(): string[] {
    return this.#canary.effects();
  }
}
