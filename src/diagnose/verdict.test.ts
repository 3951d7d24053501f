import { describe, expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { judge, type MemoryHistory, type OwnerSeries } from './verdict.js';

const MB = 1e6;
const SAMPLES = 60;

/** Bytes at each second. */
type Course = (second: number) => number;

interface Courses {
  live?: Record<string, Course>;
  retained?: Record<string, Course>;
  outside?: Record<string, Course>;
  unread?: Record<string, Course>;
}

function history(courses: Courses, samples = SAMPLES): MemoryHistory {
  const timesMs = Array.from({ length: samples }, (_, second) => second * 1000);
  const series = (named: Record<string, Course> = {}): OwnerSeries[] =>
    Object.entries(named).map(([name, course]) => {
      const [owner, stack] = name.split('#');
      return {
        owner: owner!,
        stack: stack === undefined ? null : Number(stack),
        bytes: timesMs.map((_, second) => course(second)),
      };
    });
  return {
    timesMs,
    live: series(courses.live),
    retained: series(courses.retained),
    outside: series(courses.outside),
    unread: series(courses.unread),
  };
}

const flat =
  (bytes: number): Course =>
  () =>
    bytes;
const rising =
  (from: number, perSecond: number): Course =>
  (second) =>
    from + perSecond * second;
/** Fills within `period` seconds and is emptied then. */
const sawtooth =
  (from: number, height: number, period: number): Course =>
  (second) =>
    from + (height * (second % period)) / period;
const warmUp =
  (bytes: number, seconds: number): Course =>
  (second) =>
    bytes * Math.min(1, second / seconds);
const plus =
  (...courses: Course[]): Course =>
  (second) =>
    courses.reduce((sum, course) => sum + course(second), 0);
/** The same noise each time. */
function noise(amplitude: number, seed = 1): Course {
  let state = seed;
  const values = Array.from({ length: 1000 }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (amplitude * state) / 2_147_483_647;
  });
  return (second) => values[second]!;
}

test('what is allocated and never freed is a leak, by its stack', () => {
  const verdict = judge(
    history({
      live: { 'app#7': rising(2 * MB, MB), 'app#8': noise(3 * MB), 'libz#9': flat(40 * MB) },
      retained: { 'libc.so.6': noise(4 * MB) },
      outside: { 'libcuda.so.1': flat(300 * MB) },
    }),
  );
  expect(verdict).toMatchObject({ verdict: 'leak', owner: 'app', stack: 7 });
  expect(verdict.confidence).toBeGreaterThan(0.7);
  expect(verdict.evidence).toMatch(
    /^What app holds by one stack rose by 4\d\.\d MB within 59 s, to 61\.0 MB in live .*\.$/,
  );
});

test('few survivors among freed blocks are retention', () => {
  const verdict = judge(
    history({
      // All is allocated, then nearly all is freed, and nothing goes back.
      live: { 'app#1': (second) => (second < 20 ? 10 * MB * second : 8 * MB) },
      retained: { 'libc.so.6': (second) => (second < 20 ? MB : 190 * MB), 'libjemalloc.so.2': flat(MB) },
    }),
  );
  expect(verdict).toMatchObject({ verdict: 'retention', owner: 'libc.so.6', stack: null });
  expect(verdict.confidence).toBeGreaterThan(0.7);
  expect(verdict.evidence).toBe(
    'libc.so.6 keeps 191.0 MB that was freed, 96 % of the heap at least, while 8.0 MB is live and did not grow within 59 s.',
  );
});

test('what a library maps for itself and keeps is a leak outside the heap', () => {
  const verdict = judge(
    history({
      live: { 'python#1': plus(flat(50 * MB), noise(2 * MB)) },
      retained: { 'libc.so.6': flat(5 * MB) },
      // In steps, as a memory pool grows.
      outside: {
        'libucs.so.0': (second) => 150_000 * Math.floor(second / 4) * 40,
        'libcuda.so.1': flat(300 * MB),
      },
    }),
  );
  expect(verdict).toMatchObject({ verdict: 'leak outside the heap', owner: 'libucs.so.0', stack: null });
  expect(verdict.evidence).toContain('outside of all allocators');
});

describe('none', () => {
  const cases: Record<string, Courses> = {
    'stable memory': {
      live: { a: plus(flat(50 * MB), noise(3 * MB)) },
      retained: { 'libc.so.6': noise(6 * MB) },
    },
    'nothing at all': {},
    'a cache that fills and empties': {
      live: { cache: sawtooth(10 * MB, 90 * MB, 13) },
      retained: { 'libc.so.6': (second) => 100 * MB - sawtooth(10 * MB, 90 * MB, 13)(second) },
    },
    'a start that is over': { live: { a: warmUp(200 * MB, 25) }, outside: { b: warmUp(100 * MB, 35) } },
    'a single step': { outside: { b: (second) => (second < 5 ? 0 : 16 * MB) } },
    'a start, and ups and downs behind it': {
      live: { a: plus((second) => (second < 3 ? 0 : 2 * MB), sawtooth(0, MB / 2, 1.7)) },
    },
    'what shrinks': { live: { a: rising(100 * MB, -MB) } },
    'some free memory in a large heap': {
      live: { a: flat(500 * MB) },
      retained: { 'libc.so.6': flat(80 * MB) },
    },
    'a cache that was emptied once': { live: { cache: sawtooth(10 * MB, 90 * MB, 35) } },
    'a rise that is lost in the ups and downs': {
      live: { a: plus(rising(50 * MB, MB / 20), (second) => (second % 2) * 20 * MB) },
    },
    'what grows by some pages': { live: { a: rising(0, 1000) } },
    'a burst': { live: { a: (second) => (second > 20 && second < 45 ? 400 * MB : 20 * MB) } },
  };
  for (const [name, courses] of Object.entries(cases)) {
    test(name, () => {
      expect(judge(history(courses))).toMatchObject({ verdict: 'none', owner: null, stack: null });
    });
  }
});

test('owners that pass memory to and fro are a leak once all of them together grow', () => {
  const swing = (second: number) => (second % 2 === 0 ? 0 : 60 * MB);
  const verdict = judge(
    history({
      live: { a: plus(rising(0, MB), swing), b: plus(rising(60 * MB, MB / 2), (second) => -swing(second)) },
    }),
  );
  expect(verdict).toMatchObject({ verdict: 'leak', owner: 'a' });
});

test('a leak shows below a cache, and beside free memory that is larger', () => {
  expect(
    judge(
      history({
        live: { a: plus(sawtooth(0, 20 * MB, 9), rising(5 * MB, MB)) },
        retained: { l: flat(30 * MB) },
      }),
    ),
  ).toMatchObject({ verdict: 'leak', owner: 'a' });
});

test('a leak that is small beside what is retained does not hide it', () => {
  expect(
    judge(history({ live: { a: rising(5 * MB, 10_000) }, retained: { 'libc.so.6': flat(900 * MB) } })),
  ).toMatchObject({ verdict: 'retention', owner: 'libc.so.6' });
});

test('growth by many stacks at once is a leak of the one that grew most, told with less confidence', () => {
  const many = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`app#${index + 1}`, rising(0, 10_000 * (index + 1))]),
  );
  const spread = judge(history({ live: many }));
  const single = judge(history({ live: { 'app#20': rising(0, 200_000) } }));
  expect(spread).toMatchObject({ verdict: 'leak', stack: 20 });
  expect(spread.confidence).toBeLessThan(single.confidence);
});

describe('unknown', () => {
  test('what was seen too briefly', () => {
    expect(judge(history({ live: { a: rising(0, MB) } }, 11))).toMatchObject({
      verdict: 'unknown',
      confidence: 0,
    });
    expect(judge(history({}, 0)).verdict).toBe('unknown');
  });

  test('an allocator that grows and can not be looked into', () => {
    const verdict = judge(history({ unread: { 'libjemalloc.so.2': rising(0, MB) }, live: { a: flat(MB) } }));
    expect(verdict).toMatchObject({ verdict: 'unknown', owner: null });
    expect(verdict.evidence).toContain('libjemalloc.so.2');
  });
});

describe('for any history', () => {
  const courses = fc.dictionary(
    fc.constantFrom('a#1', 'a#2', 'b', 'c'),
    fc.array(fc.nat(1e12), { minLength: 80, maxLength: 80 }).map(
      (values): Course =>
        (second) =>
          values[second]!,
    ),
    { maxKeys: 3 },
  );

  test('the verdict is whole: named where somebody is to blame, one sentence, a confidence within bounds', () => {
    fc.assert(
      fc.property(
        courses,
        courses,
        courses,
        courses,
        fc.nat(80),
        (live, retained, outside, unread, samples) => {
          const { verdict, owner, confidence, evidence } = judge(
            history({ live, retained, outside, unread }, samples),
          );
          expect(owner === null).toBe(verdict === 'none' || verdict === 'unknown');
          expect(confidence).toBeGreaterThanOrEqual(0);
          expect(confidence).toBeLessThanOrEqual(1);
          expect(evidence).toMatch(/^[^\n]+\.$/);
          expect(evidence).not.toMatch(/NaN|undefined|Infinity/);
        },
      ),
    );
  });

  test('steady growth above the noise is a leak at any rate, and no growth is none', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20_000, max: 1e9 }),
        fc.nat(1e6),
        fc.integer({ min: 40, max: 300 }),
        fc.integer({ min: 1, max: 1e6 }),
        (perSecond, from, samples, seed) => {
          const rough = noise(perSecond * 2, seed);
          expect(judge(history({ live: { a: plus(rising(from, perSecond), rough) } }, samples)).verdict).toBe(
            'leak',
          );
          expect(judge(history({ live: { a: plus(flat(from), rough) } }, samples)).verdict).toBe('none');
        },
      ),
    );
  });

  test('caches of any period and height are none, as soon as they were emptied twice', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 25 }),
        fc.integer({ min: 1, max: 1e9 }),
        fc.nat(24),
        (period, height, phase) => {
          const course = sawtooth(MB, height, period);
          expect(judge(history({ live: { cache: (second) => course(second + phase) } })).verdict).toBe(
            'none',
          );
        },
      ),
    );
  });
});
