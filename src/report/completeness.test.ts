import { describe, expect, it } from 'vitest';
import { completenessLines } from './completeness.js';
import { sampleSnapshot } from './sample.js';

describe('completenessLines', () => {
  it('says how many places have no name, and why, the most frequent reason first', () => {
    const snapshot = sampleSnapshot();
    expect(completenessLines(snapshot)).toEqual([]);
    snapshot.completeness.unnamedFrames = 1213;
    snapshot.completeness.unnamedFramesBy = { fileGone: 12, noSymbols: 1200, generatedCode: 1 };
    expect(completenessLines(snapshot)).toEqual([
      "1,213 places in code without a function's name: 1,200 without symbols (stripped), " +
        '12 in files that are gone, 1 in code made at run time',
    ]);
  });
});
