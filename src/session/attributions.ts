import { type Attribution, attribute, type ProgramFacts } from '../ledger/attribution.js';
import type { CodeMap } from './code-map.js';
import type { ProcessRecording } from './recording.js';

/** Who owns what a site maps: computed when first asked for, then kept. */
export class Attributions {
  readonly #recording: ProcessRecording;
  readonly #code: CodeMap;
  readonly #known: Attribution[] = [];
  readonly #program: Omit<ProgramFacts, 'forked'>;

  constructor(recording: ProcessRecording, code: CodeMap, programPath: string | null) {
    this.#recording = recording;
    this.#code = code;
    this.#program = {
      programPath,
      nameOf: (path) => this.#nameOf(path),
    };
  }

  of(site: number): Attribution {
    let attribution = this.#known[site];
    if (attribution === undefined) {
      const facts = this.#recording.sites.facts(site);
      this.#program.programPath ??= this.#programByCode();
      const frames = [...this.#code.attributionFrames(facts.stack, facts.ancestor)];
      const forked = this.#beganByFork(facts.ancestor);
      attribution = attribute(frames, facts, { ...this.#program, forked });
      this.#known[site] = attribution;
    }
    return attribution;
  }

  /** Whether the process began by fork whose seeds these are: a forked child has its parent's too, as the parent told them. */
  #beganByFork(ancestor: number): boolean {
    let recording: ProcessRecording | undefined = this.#recording;
    for (let up = 0; up < ancestor; up++) recording = recording?.parent;
    return recording?.header.beginning !== 'exec';
  }

  /** As the module table calls it, so that what was there before the start and what came later are one owner. */
  #nameOf(path: string): string {
    const module = this.#recording.modules.current.find((each) => each.path === path);
    return module?.name ?? path.slice(path.lastIndexOf('/') + 1);
  }

  /** A process may be gone before /proc is asked; its first executable mapping is the program all the same. */
  #programByCode(): string | null {
    return this.#recording.modules.current.find(({ isProgram }) => isProgram)?.path ?? null;
  }
}
