import { expect, test } from 'vitest';
import { type HeldByStacks, MemoryLog, type MemoryMoment } from './memory-log.js';

const NOTHING: MemoryMoment = { live: [], retained: [], outside: [], unread: [], readLiveBytes: 0 };

/** Stack 1 holds a byte, stack 2 two … */
function stacks(count: number): HeldByStacks & { asked: number[] } {
  const asked: number[] = [];
  return {
    stack: Uint32Array.from({ length: count }, (_, row) => row + 1),
    bytes: Float64Array.from({ length: count }, (_, row) => row + 1),
    ownerOf: (stack) => {
      asked.push(stack);
      return `owner ${stack}`;
    },
    asked,
  };
}

function followed(log: MemoryLog) {
  return log.history().live.map(({ owner, stack, bytes }) => ({ owner, stack, bytes: [...bytes] }));
}

test('the stacks that hold most are followed, the others together, and nobody else is asked for an owner', () => {
  const log = new MemoryLog();
  const byStack = stacks(1000);
  log.add(1, { ...NOTHING, live: [{ owner: 'python', stack: null, bytes: 999.5 }], liveByStack: byStack });
  const live = followed(log);
  expect(live).toHaveLength(65);
  expect(live.slice(0, 3)).toEqual([
    { owner: 'owner 1000', stack: 1000, bytes: [1000] },
    { owner: 'python', stack: null, bytes: [999.5] },
    { owner: 'owner 999', stack: 999, bytes: [999] },
  ]);
  const smallBytes = (937 * 938) / 2;
  expect(live.at(-1)).toEqual({ owner: '[others]', stack: null, bytes: [smallBytes] });
  expect(byStack.asked.length).toBeLessThanOrEqual(64);
});

test('a followed stack keeps its series; one that comes later and finds no room is one of the others', () => {
  const log = new MemoryLog();
  log.add(1, { ...NOTHING, liveByStack: stacks(64) });
  const later = stacks(66);
  later.bytes[0] = 0.5;
  log.add(2, { ...NOTHING, liveByStack: later });
  const live = followed(log);
  expect(live.find(({ stack }) => stack === 1)?.bytes).toEqual([1, 0.5]);
  expect(live.at(-1)).toEqual({ owner: '[others]', stack: null, bytes: [0, 65 + 66] });
  expect(later.asked).toEqual([]);
});
