import { UNNAMED_REASONS } from '../../src/symbolize/unnamed.js';

type Check = (value: unknown) => boolean;
/** A check of the value, of each entry of a list, of each named part, or of the values under any names. */
type Shape = Check | [Shape] | Parts | Each | Optional;
interface Parts {
  [name: string]: Shape;
}
class Each {
  constructor(readonly shape: Shape) {}
}
/** A part that may be absent. */
class Optional {
  constructor(readonly check: Check) {}
}

const text: Check = (value) => typeof value === 'string' && value !== '';
const textOrNull: Check = (value) => value === null || typeof value === 'string';
const truth: Check = (value) => typeof value === 'boolean';
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const number: Check = (value) => Number.isFinite(value);
const percent: Check = (value) => number(value) && (value as number) >= 0 && (value as number) <= 100;
const seconds: Check = (value) => number(value) && (value as number) >= 0;
const rfc3339: Check = (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(String(value));
const hexadecimal: Check = (value) => typeof value === 'string' && /^0x[0-9a-f]+$/.test(value);
const countOrNull: Check = (value) => value === null || count(value);
const oneOf =
  (...known: unknown[]): Check =>
  (value) =>
    known.includes(value);
const counts: Check = (value) =>
  typeof value === 'object' && value !== null && Object.values(value).every(count);
const countsOrNull: Check = (value) => value === null || counts(value);

const KIND = oneOf('library', 'allocator', 'stack', 'program', 'kernel', 'profiler', 'unexplained');

const HEAP_SUMS = {
  liveBytes: count,
  liveAllocations: count,
  allocations: count,
  frees: count,
  temporary: count,
  allocatedBytes: count,
  standardErrorBytes: count,
  standardErrorAllocations: count,
};
const HEAP_COUNTS = { ...HEAP_SUMS, peakBytes: count };

const VERDICT: Shape = {
  verdict: oneOf('leak', 'leak outside the heap', 'retention', 'none', 'unknown'),
  owner: textOrNull,
  stack: countOrNull,
  confidence: (value) => number(value) && (value as number) >= 0 && (value as number) <= 1,
  evidence: text,
  frames: [text],
};

/** `offheap.snapshot/1` as it is published, and what was added since. */
const SNAPSHOT: Shape = {
  schema: oneOf('offheap.snapshot/1'),
  process: {
    pid: count,
    parentPid: count,
    command: [text],
    startedAt: rfc3339,
    state: oneOf('running', 'exited', 'killed'),
    exit: countOrNull,
  },
  takenAt: rfc3339,
  observedSeconds: seconds,
  completeness: {
    mappingEvents: count,
    mappingEventsLost: count,
    heapEvents: count,
    heapEventsLost: count,
    truncatedStacks: count,
    sitesPatched: count,
    sitesOverwritten: count,
    unexplainedBytes: count,
    gaps: [text],
    kernelMappings: countsOrNull,
    observerEffects: [text],
    hookers: [{ hooker: text, operation: text, calls: count, heard: count }],
    unnamedFrames: count,
    unnamedFramesBy: counts,
    degraded: [text],
  },
  rss: {
    totalBytes: count,
    anonymousBytes: count,
    fileBytes: count,
    sharedBytes: count,
    swapBytes: count,
    explainedPercent: percent,
  },
  owners: [
    {
      owner: text,
      path: textOrNull,
      kind: KIND,
      mappings: count,
      bytes: count,
      reservedBytes: count,
      residentBytes: count,
      growthBytesPerMinute: number,
      callers: counts,
      triggers: counts,
    },
  ],
  mappings: [
    {
      start: hexadecimal,
      bytes: count,
      residentBytes: count,
      owner: text,
      kind: KIND,
      operation: text,
      enclosing: textOrNull,
      threadId: count,
      mappedAt: rfc3339,
      reserved: truth,
      stack: count,
    },
  ],
  heap: {
    mode: oneOf('off', 'sampled', 'exact'),
    sampleBytes: count,
    estimated: truth,
    followedSince: (value) => value === null || rfc3339(value),
    ...HEAP_COUNTS,
    before: { bytes: count, allocations: count },
    unknownFrees: count,
    owners: [{ owner: text, path: textOrNull, kind: KIND, ...HEAP_SUMS }],
    sites: [{ stack: count, owner: text, kind: KIND, caller: textOrNull, ...HEAP_COUNTS }],
  },
  stacks: new Each([
    {
      module: text,
      function: textOrNull,
      file: textOrNull,
      line: countOrNull,
      inlined: truth,
      language: oneOf('native', 'python', 'javascript', 'java'),
      address: hexadecimal,
      fileAddress: hexadecimal,
      unnamed: new Optional(oneOf(...UNNAMED_REASONS)),
      functionAddress: new Optional(hexadecimal),
    },
  ]),
  verdict: VERDICT,
  verdicts: [VERDICT],
  hints: [{ id: text, owner: text, summary: text, evidence: [text], remedies: [text] }],
  accountHistory: {
    timesMs: [seconds],
    series: [{ branch: text, owner: textOrNull, part: textOrNull, bytes: [count] }],
  },
};

/** Where a value differs from `offheap.snapshot/1`: absent or unknown names, values of another kind. */
export function shapeProblems(snapshot: unknown): string[] {
  const problems: string[] = [];
  compare(snapshot, SNAPSHOT, 'snapshot', problems);
  return problems;
}

function compare(value: unknown, shape: Shape, at: string, problems: string[]): void {
  if (shape instanceof Optional) {
    compare(value, shape.check, at, problems);
  } else if (typeof shape === 'function') {
    if (!shape(value)) problems.push(`${at}: ${JSON.stringify(value)}`);
  } else if (Array.isArray(shape)) {
    if (!Array.isArray(value)) problems.push(`${at}: no list`);
    else for (const [index, entry] of value.entries()) compare(entry, shape[0], `${at}[${index}]`, problems);
  } else if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${at}: no object`);
  } else if (shape instanceof Each) {
    for (const [name, entry] of Object.entries(value)) compare(entry, shape.shape, `${at}.${name}`, problems);
  } else {
    compareParts(value as Record<string, unknown>, shape, at, problems);
  }
}

function compareParts(value: Record<string, unknown>, shape: Parts, at: string, problems: string[]): void {
  for (const name of new Set([...Object.keys(value), ...Object.keys(shape)])) {
    const part = shape[name];
    if (part === undefined) problems.push(`${at}.${name}: not in the schema`);
    else if (!(name in value)) {
      if (!(part instanceof Optional)) problems.push(`${at}.${name}: absent`);
    } else compare(value[name], part, `${at}.${name}`, problems);
  }
}
