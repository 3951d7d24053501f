import { judge, type Verdict } from '../diagnose/verdict.js';
import type { Snapshot } from '../report/schema.js';
import { frameName } from '../report/stacks.js';
import type { Program } from './program.js';

export type DescribedVerdicts = Pick<Snapshot, 'verdict' | 'verdicts'>;

/** Nothing was seen. */
export const NO_VERDICTS: DescribedVerdicts = {
  verdict: { ...judge({ timesMs: [], live: [], retained: [], outside: [], unread: [] }), frames: [] },
  verdicts: [],
};

/** The verdicts about a program, with the functions of the stacks that they name. */
export function describedVerdicts(program: Program | undefined): DescribedVerdicts {
  if (program === undefined) return NO_VERDICTS;
  const described = <V extends Verdict>(verdict: V) => ({
    ...verdict,
    frames: verdict.stack === null ? [] : program.code.frames(verdict.stack).map(frameName),
  });
  const { process, owners } = program.verdicts();
  return { verdict: described(process), verdicts: owners.map(described) };
}
