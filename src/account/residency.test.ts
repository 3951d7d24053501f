import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { residency } from '../wire/addon.js';
import { readMaps } from './maps.js';
import { measureResidency } from './residency.js';
import { memoryTotals, parseStatus, residentBytes } from './rollup.js';

const MIB = 1 << 20;

// Private, 8 MiB of which pages 0 to 99, 200 and the last are written and page 300 is only read (the zero page);
// shared, 4 MiB of which a half is written; huge pages, of which the first is only read and the second is written;
// then it sleeps.
const PROGRAM = `
import ctypes, mmap, sys
private = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
private.madvise(15)
for page in [*range(100), 200, 2047]: private[page * 4096] = 1
private[300 * 4096]
shared = mmap.mmap(-1, 4 << 20)
for page in range(512): shared[page * 4096] = 1
huge = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
huge.madvise(14)
address = lambda m: ctypes.addressof(ctypes.c_char.from_buffer(m))
first_huge = -address(huge) % (2 << 20)
huge[first_huge]
huge[first_huge + (2 << 20)] = 1
print(address(private), address(shared), address(huge) + first_huge, flush=True)
sys.stdin.read()
`;

let child: ChildProcessWithoutNullStreams;
let pid: number;
let privateStart: number;
let sharedStart: number;
let hugeStart: number;

beforeAll(async () => {
  child = spawn('python3', ['-c', PROGRAM]);
  pid = child.pid!;
  const [line] = await once(createInterface(child.stdout), 'line');
  [privateStart, sharedStart, hugeStart] = String(line).split(' ').map(Number) as [number, number, number];
});

afterAll(async () => {
  child.stdin.end();
  await once(child, 'exit');
});

test('written pages are resident, untouched and zero pages are not', () => {
  const ranges = [
    { start: privateStart, end: privateStart + 8 * MIB },
    { start: privateStart + 50 * 4096, end: privateStart + 201 * 4096 },
    { start: privateStart + 300 * 4096, end: privateStart + 301 * 4096 },
    { start: sharedStart, end: sharedStart + 4 * MIB },
  ];
  expect(measureResidency(pid, ranges)).toEqual([
    { residentBytes: 102 * 4096, swapBytes: 0 },
    { residentBytes: 51 * 4096, swapBytes: 0 },
    { residentBytes: 0, swapBytes: 0 },
    { residentBytes: 512 * 4096, swapBytes: 0 },
  ]);
});

test('scanning and reading entries agree, but for the zero page that entries cannot tell', () => {
  const bounds = new Float64Array([
    privateStart,
    privateStart + 300 * 4096,
    sharedStart,
    sharedStart + 4 * MIB,
  ]);
  expect(residency(pid, bounds, true)).toEqual(residency(pid, bounds));
});

test('huge pages that were only read are not resident, however they are asked for', () => {
  const bounds = new Float64Array([hugeStart, hugeStart + 2 * MIB]);
  expect([...residency(pid, bounds)]).toEqual([0, 0]);
  // Entries tell it by its frame, which only root may see.
  expect([...residency(pid, bounds, true)]).toEqual([process.geteuid!() === 0 ? 0 : 2 * MIB, 0]);
  const written = { start: hugeStart + 2 * MIB, end: hugeStart + 4 * MIB };
  expect(measureResidency(pid, [written])[0]!.residentBytes).toBeGreaterThan(0);
});

test('the residency of all mappings is the resident size', () => {
  const maps = readMaps(pid).filter(({ kind }) => kind !== 'kernel');
  const sum = measureResidency(pid, maps).reduce((bytes, range) => bytes + range.residentBytes, 0);
  const totals = memoryTotals(pid);
  // The kernel batches its counters per processor; a few pages may be under way.
  expect(Math.abs(sum - totals.totalBytes)).toBeLessThan(MIB);
  expect(Math.abs(residentBytes(pid) - totals.totalBytes)).toBeLessThan(MIB);
  expect(totals.sharedBytes).toBeGreaterThanOrEqual(2 * MIB);
});

test('ranges that make no sense count as nothing', () => {
  const bounds = new Float64Array([5, 4, Number.NaN, 10, -1, 10, 0x7fff_ffff_0000, 2 ** 52, 1]);
  expect([...residency(pid, bounds)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
});

test('a process that is not there', () => {
  expect(() => measureResidency(0x7fff_fff0, [])).toThrow(
    expect.objectContaining({ code: 'PROCESS_MISSING' }),
  );
});

test('a process that has ended has nothing', () => {
  expect(parseStatus('Name:\tx\nState:\tZ (zombie)\n').totalBytes).toBe(0);
});
