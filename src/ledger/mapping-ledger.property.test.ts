/**
 * Random histories of two threads against an address space that is a plain map of pages. Each call is up to three
 * steps (announce, take effect in the kernel, report), and the threads' steps interleave, so that addresses are reused
 * between one thread's steps.
 */

import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import type { MappingEvent, Operation, Phase } from '../wire/event.js';
import { MappingLedger } from './mapping-ledger.js';

const PAGE = 4096;
const BASE = 0x10_0000_0000;
const PAGES = 40;
const HEAP = 0x5555_5555_0000;
const HEAP_PAGES = 12;
const ENOMEM = -12;
const EINVAL = -22;

interface Token {
  operation: Operation;
  site: number;
  threadId: number;
  class: string;
  attachment: boolean;
}
interface Page {
  token: Token;
  base: number;
  protection: number;
}
type Span = readonly [start: number, end: number];
interface Call {
  steps: (() => void)[];
  /** Addresses that the call names: no other thread names them meanwhile. */
  named: Span[];
  /** Addresses that it will map: the kernel gives them to nobody else meanwhile. */
  claimed: Span[];
  /** It will fail, so that others may map over what it names. */
  fails: boolean;
  operation: Operation;
}

interface Step {
  thread: number;
  kind: number;
  at: number;
  pages: number;
  other: number;
  site: number;
  variant: number;
}

class Machine {
  ledger = new MappingLedger();
  readonly pages = new Map<number, Page>();
  readonly calls: (Call | undefined)[] = [undefined, undefined];
  /** One object for all events, as the decoder does it. */
  readonly event = {} as MappingEvent;
  position = 0;
  breakAddress = HEAP + 100;

  emit(
    thread: number,
    operation: Operation,
    phase: Phase,
    site: number,
    args: number[],
    more: Partial<MappingEvent> = {},
  ): number {
    Object.assign(this.event, {
      position: this.position,
      operation,
      phase,
      timeNs: this.position * 10,
      args: [0, 0, 0, 0, 0, 0].map((zero, index) => args[index] ?? zero),
      result: 0,
      refersTo: 0,
      extra: 0,
      threadId: 11 + thread,
      stack: site,
      path: null,
      generation: 0,
      stackTruncated: false,
      byProfiler: false,
      enclosing: null,
      ...more,
    });
    this.ledger.apply(this.event, site);
    return this.position++;
  }

  isFree(start: number, end: number): boolean {
    for (let page = start; page < end; page += PAGE) if (this.pages.has(page)) return false;
    return true;
  }

  /** An address that the kernel would choose, or undefined. */
  choose(pages: number): number | undefined {
    const claimed = this.calls.flatMap((call) => call?.claimed ?? []);
    for (let start = BASE; start + pages * PAGE <= BASE + PAGES * PAGE; start += PAGE) {
      const end = start + pages * PAGE;
      if (this.isFree(start, end) && !claimed.some((span) => overlap(span, [start, end]))) return start;
    }
    return undefined;
  }

  unmap(start: number, end: number): void {
    for (let page = start; page < end; page += PAGE) this.pages.delete(page);
  }

  map(start: number, pages: number, token: Token, protection: number, base = start): void {
    for (let page = start; page < start + pages * PAGE; page += PAGE) {
      this.pages.set(page, { token, base, protection });
    }
  }

  /** The pages of [start, end) if they can be one VMA, which is what mremap moves. */
  vma(start: number, end: number): Page[] | undefined {
    const found: Page[] = [];
    for (let page = start; page < end; page += PAGE) {
      const here = this.pages.get(page);
      const first = found[0] ?? here;
      if (here === undefined || first === undefined) return undefined;
      if (here.token.class !== first.token.class || here.protection !== first.protection) return undefined;
      if (here.token.class !== 'anonymous' && (here.token !== first.token || here.base !== first.base)) {
        return undefined;
      }
      found.push(here);
    }
    return found;
  }
}

function overlap(a: Span, b: Span): boolean {
  return a[0] < b[1] && b[0] < a[1];
}

const step = fc.record({
  thread: fc.nat(1),
  kind: fc.nat(15),
  at: fc.nat(PAGES + HEAP_PAGES - 1),
  pages: fc.integer({ min: 1, max: 6 }),
  other: fc.nat(PAGES - 1),
  site: fc.integer({ min: 1, max: 3 }),
  variant: fc.nat(15),
});

/** The call that a step starts, or undefined if it makes no sense now. */
function start(machine: Machine, { thread, kind, at, pages, other, site, variant }: Step): Call | undefined {
  const address = at < PAGES ? BASE + at * PAGE : HEAP + (at - PAGES) * PAGE;
  const end = address + pages * PAGE;
  const protection = [3, 1, 0][variant % 3]!;
  const threadId = 11 + thread;
  const call: Call = { steps: [], named: [], claimed: [], fails: false, operation: 'none' };
  const token = (operation: Operation, memory: string, attachment = false): Token => ({
    operation,
    site,
    threadId,
    class: memory,
    attachment,
  });
  const fails = variant === 15;
  call.fails = fails;

  switch (kind) {
    case 0:
    case 1:
    case 2: {
      call.operation = 'mmap';
      const fixed = kind === 2;
      if (fixed) call.named.push([address, end]);
      if (fixed) call.claimed.push([address, end]);
      const memory = variant % 4 === 0 ? 'shared' : variant % 4 === 1 ? 'file' : 'anonymous';
      const flags = { shared: 0x21, file: 0x02, anonymous: 0x22 }[memory] | (fixed ? 0x10 : 0);
      let result = ENOMEM;
      call.steps.push(() => {
        if (!fails) result = fixed ? address : (machine.choose(pages) ?? ENOMEM);
        if (result < 0) return;
        machine.unmap(result, result + pages * PAGE);
        machine.map(result, pages, token('mmap', memory), protection);
        call.named.push([result, result + pages * PAGE]);
      });
      const length = pages * PAGE - (variant % 2) * 100;
      call.steps.push(() =>
        machine.emit(thread, 'mmap', 'complete', site, [fixed ? address : 0, length, protection, flags], {
          result,
        }),
      );
      return call;
    }
    case 3:
    case 4:
    case 5: {
      call.operation = 'munmap';
      call.named.push([address, end]);
      const bad = variant === 14;
      const args = bad
        ? at % 2 === 0
          ? [address, 0]
          : [address + 1, PAGE]
        : [address, pages * PAGE - variant];
      call.fails = fails || bad;
      let began = 0;
      call.steps.push(() => (began = machine.emit(thread, 'munmap', 'begin', 0, args)));
      if (call.fails) {
        call.steps.push(() =>
          machine.emit(thread, 'munmap', 'failed', 0, args, { result: EINVAL, refersTo: began }),
        );
      } else {
        call.steps.push(() => machine.unmap(address, end));
      }
      return call;
    }
    case 6: {
      call.operation = 'mprotect';
      call.named.push([address, end]);
      call.steps.push(() => {
        for (let page = address; page < end && !fails; page += PAGE) {
          const here = machine.pages.get(page);
          if (here !== undefined) here.protection = protection;
        }
      });
      const result = fails ? ENOMEM : 0;
      const args = [address, pages * PAGE, protection];
      call.steps.push(() =>
        machine.emit(thread, variant % 2 ? 'mprotect' : 'pkey_mprotect', 'complete', 0, args, { result }),
      );
      return call;
    }
    case 7:
    case 8:
    case 9:
    case 10:
      return mremap(machine, call, { thread, kind, at, pages, other, site, variant }, address, token);
    case 11: {
      call.operation = 'brk';
      call.named.push([HEAP, HEAP + HEAP_PAGES * PAGE]);
      const requested = variant === 0 ? 0 : HEAP + 100 + (at % HEAP_PAGES) * 3000;
      const old = machine.breakAddress;
      if (requested !== 0 && requested < old) {
        let began = 0;
        call.steps.push(() => (began = machine.emit(thread, 'brk', 'begin', site, [requested])));
        if (fails) {
          call.steps.push(() =>
            machine.emit(thread, 'brk', 'failed', 0, [requested], { result: old, refersTo: began }),
          );
        } else {
          call.steps.push(() => {
            machine.unmap(pageUp(requested), pageUp(old));
            machine.breakAddress = requested;
          });
        }
        return call;
      }
      let result = old;
      call.steps.push(() => {
        if (requested === 0 || !machine.isFree(pageUp(old), pageUp(requested))) return;
        machine.map(pageUp(old), (pageUp(requested) - pageUp(old)) / PAGE, token('brk', 'anonymous'), 3);
        result = machine.breakAddress = requested;
      });
      call.steps.push(() => machine.emit(thread, 'brk', 'complete', site, [requested], { result }));
      return call;
    }
    case 12: {
      call.operation = 'shmat';
      let result = ENOMEM;
      call.steps.push(() => {
        result = fails ? ENOMEM : (machine.choose(pages) ?? ENOMEM);
        if (result < 0) return;
        machine.map(result, pages, token('shmat', 'shared', true), variant % 2 ? 1 : 3);
        call.named.push([result, result + pages * PAGE]);
      });
      const flags = variant % 2 ? 0x1000 : 0;
      const extra = pages * PAGE - variant * 7;
      call.steps.push(() =>
        machine.emit(thread, 'shmat', 'complete', site, [1, 0, flags], { result, extra }),
      );
      return call;
    }
    case 13: {
      call.operation = 'shmdt';
      // The base of some attachment, or an address that is none.
      const bases = [...machine.pages.values()]
        .filter((page) => page.token.attachment)
        .map((page) => page.base);
      const target = variant < 12 ? (bases[at % Math.max(1, bases.length)] ?? address) : address;
      const sorted = [...machine.pages].sort(([a], [b]) => a - b);
      const first = sorted.find(
        ([page, { token, base }]) => page >= target && token.attachment && base === target,
      );
      const gone = sorted.filter(
        ([page, cell]) => page >= target && cell.token === first?.[1].token && cell.base === target,
      );
      for (const [page] of gone) call.named.push([page, page + PAGE]);
      call.named.push([target, target + PAGE]);
      call.fails = fails || first === undefined;
      let began = 0;
      call.steps.push(() => (began = machine.emit(thread, 'shmdt', 'begin', 0, [target])));
      if (call.fails) {
        call.steps.push(() =>
          machine.emit(thread, 'shmdt', 'failed', 0, [target], { result: EINVAL, refersTo: began }),
        );
      } else {
        call.steps.push(() => {
          for (const [page] of gone) machine.pages.delete(page);
        });
      }
      return call;
    }
    case 14: {
      const operation = (['madvise', 'remap_file_pages', 'process_madvise', 'fork'] as const)[variant % 4]!;
      call.operation = operation;
      call.steps.push(() => machine.emit(thread, operation, 'complete', 0, [address, pages * PAGE, 4, 4]));
      return call;
    }
    default: {
      // The collector starts anew, or the process forks and its child goes its own way.
      call.steps.push(() => {
        if (variant % 2 === 0) {
          machine.ledger = MappingLedger.restore(machine.ledger.serialize());
          return;
        }
        const parent = machine.ledger;
        machine.ledger = parent.clone();
        recount(machine.ledger);
        machine.emit(thread, 'munmap', 'begin', 0, [BASE, PAGES * PAGE]);
        machine.emit(thread, 'mmap', 'complete', site, [0, PAGES * PAGE, 3, 0x22], { result: BASE });
        expect(machine.ledger.at(BASE)?.end).toBe(BASE + PAGES * PAGE);
        machine.ledger = parent;
      });
      return call;
    }
  }
}

function mremap(
  machine: Machine,
  call: Call,
  { thread, kind, pages, other, site, variant }: Step,
  old: number,
  token: (operation: Operation, memory: string, attachment?: boolean) => Token,
): Call | undefined {
  call.operation = 'mremap';
  const newPages = kind === 10 ? pages : 1 + (variant % 7);
  const duplicates = kind === 9;
  const dontUnmap = kind === 10;
  const fixed = kind === 8 || (dontUnmap && variant % 2 === 0);
  const oldEnd = old + (duplicates ? 0 : pages * PAGE);
  const target = BASE + (other % (PAGES - newPages)) * PAGE;
  const targetEnd = target + newPages * PAGE;
  call.named.push([old, Math.max(oldEnd, old + PAGE)], [old, old + newPages * PAGE]);
  if (fixed) {
    call.named.push([target, targetEnd]);
    call.claimed.push([target, targetEnd]);
  } else {
    // Growth in place takes what follows.
    call.claimed.push([old, old + newPages * PAGE]);
  }
  const flags = 1 | (fixed ? 2 : 0) | (dontUnmap ? 4 : 0);
  const args = [old, oldEnd - old, newPages * PAGE, flags, fixed ? target : 0];
  const movedPages = duplicates ? 1 : Math.min(pages, newPages);
  const source = machine.vma(old, old + movedPages * PAGE);
  const whole = newPages <= pages || machine.vma(old, Math.max(oldEnd, old + PAGE)) !== undefined;
  const overlaps = fixed && overlap([old, Math.max(oldEnd, old + PAGE)], [target, targetEnd]);
  const shareable = !duplicates || source?.[0]?.token.class === 'shared';
  const refused = variant === 15 || source === undefined || !whole || overlaps || !shareable;
  call.fails = refused;

  let began = 0;
  let result = ENOMEM;
  call.steps.push(() => (began = machine.emit(thread, 'mremap', 'begin', site, args)));
  call.steps.push(() => {
    if (refused) return;
    const shrinks = newPages <= pages && !duplicates && !dontUnmap && !fixed;
    const growsInPlace = !duplicates && !dontUnmap && !fixed && !shrinks && variant % 2 === 0;
    if (shrinks || (growsInPlace && machine.isFree(oldEnd, old + newPages * PAGE))) result = old;
    else result = fixed ? target : (machine.choose(newPages) ?? ENOMEM);
    if (result < 0) return;

    const delta = result - old;
    const moved = [...source];
    const last = moved.at(-1)!;
    if (fixed) machine.unmap(target, targetEnd);
    if (!duplicates && !dontUnmap) machine.unmap(old, oldEnd);
    let placed = 0;
    if (!duplicates && !dontUnmap) {
      moved.forEach((page, index) => {
        machine.pages.set(result + index * PAGE, { ...page, base: page.base + delta });
      });
      placed = moved.length;
    }
    if (placed < newPages) {
      const keeps = placed === 0;
      const continues =
        !keeps && (last.token.attachment || (last.token.operation === 'mremap' && last.token.site === site));
      const start = result + placed * PAGE;
      if (continues) machine.map(start, newPages - placed, last.token, last.protection, last.base + delta);
      else {
        const fresh = token('mremap', last.token.class, last.token.attachment);
        machine.map(
          start,
          newPages - placed,
          fresh,
          last.protection,
          keeps ? source[0]!.base + delta : start,
        );
      }
    }
    call.named.push([result, result + newPages * PAGE]);
  });
  call.steps.push(() => {
    if (result < 0) machine.emit(thread, 'mremap', 'failed', site, args, { result, refersTo: began });
    else machine.emit(thread, 'mremap', 'end', site, args, { result, refersTo: began });
  });
  return call;
}

function pageUp(address: number): number {
  return Math.ceil(address / PAGE) * PAGE;
}

/** A signal handler inside a call maps and unmaps: neither settles the call. */
function interrupt(machine: Machine, thread: number, enclosing: Operation): void {
  const result = machine.choose(2);
  if (result === undefined) return;
  machine.emit(thread, 'mmap', 'complete', 1, [0, 2 * PAGE, 3, 0x22], { result, enclosing });
  machine.emit(thread, 'munmap', 'begin', 0, [result, PAGE], { enclosing });
  const token = {
    operation: 'mmap' as const,
    site: 1,
    threadId: 11 + thread,
    class: 'anonymous',
    attachment: false,
  };
  machine.map(result + PAGE, 1, token, 3, result);
}

function run(machine: Machine, next: Step): void {
  const { thread } = next;
  const current = machine.calls[thread];
  if (current !== undefined) {
    if (next.kind === 0 && current.operation !== 'none') interrupt(machine, thread, current.operation);
    current.steps.shift()!();
    if (current.steps.length === 0) machine.calls[thread] = undefined;
    return;
  }
  const call = start(machine, next);
  if (call === undefined) return;
  const rival = machine.calls[1 - thread];
  const overFailing = rival?.fails === true && rival.operation === 'munmap' && next.kind === 2;
  if (rival !== undefined && !overFailing) {
    const named = [...rival.named, ...rival.claimed];
    const clashes = [...call.named, ...call.claimed].some((span) =>
      named.some((other) => overlap(span, other)),
    );
    if (clashes || (rival.operation === call.operation && call.operation === 'brk')) return;
  }
  // Naming a hole is a claim as well: no program unmaps what another thread is just being given.
  for (const [from, to] of [...call.named]) {
    for (let page = from; page < to; page += PAGE) {
      if (!machine.pages.has(page)) call.claimed.push([page, page + PAGE]);
    }
  }
  machine.calls[thread] = call;
}

/** Sums that the ledger keeps up to date against a count of its ranges. */
function recount(ledger: MappingLedger): void {
  const sites = new Map<number, { bytes: number; reservedBytes: number; ranges: number }>();
  let fileBytes = 0;
  let fileRanges = 0;
  for (const { start, end, origin, protection } of ledger.ranges()) {
    if (origin.class === 'file') {
      fileBytes += end - start;
      fileRanges++;
      continue;
    }
    const total = sites.get(origin.site) ?? { bytes: 0, reservedBytes: 0, ranges: 0 };
    total.bytes += end - start;
    if (protection === 0) total.reservedBytes += end - start;
    total.ranges++;
    sites.set(origin.site, total);
  }
  const kept = [...ledger.sites()].map(({ site, ...total }) => [site, total] as const);
  expect(new Map(kept)).toEqual(sites);
  const sum = (field: 'bytes' | 'reservedBytes' | 'ranges') =>
    [...sites.values()].reduce((total, site) => total + site[field], 0);
  expect([ledger.liveBytes, ledger.reservedBytes, ledger.liveRanges]).toEqual([
    sum('bytes'),
    sum('reservedBytes'),
    sum('ranges'),
  ]);
  expect([ledger.fileBytes, ledger.fileRanges]).toEqual([fileBytes, fileRanges]);
}

/** The ledger's ranges are the longest runs of pages of one origin, one protection and one base; no more, no less. */
function compare(machine: Machine): void {
  const runs: { start: number; end: number; page: Page }[] = [];
  for (const [address, page] of [...machine.pages].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    const joins =
      last?.end === address &&
      last.page.token === page.token &&
      last.page.base === page.base &&
      last.page.protection === page.protection;
    if (joins) last.end = address + PAGE;
    else runs.push({ start: address, end: address + PAGE, page });
  }
  const ranges = [...machine.ledger.ranges()];
  const shown = ranges.map(({ start, end, protection, origin }) => ({
    ...{ start, end, protection, operation: origin.operation, site: origin.site },
    ...{ threadId: origin.threadId, class: origin.class },
  }));
  const expected = runs.map(({ start, end, page: { protection, token } }) => ({
    ...{ start, end, protection, operation: token.operation, site: token.site },
    ...{ threadId: token.threadId, class: token.class },
  }));
  expect(shown).toEqual(expected);
  const tokens = new Map<number, Token>();
  const ids = new Map<Token, number>();
  ranges.forEach(({ origin }, index) => {
    const { token } = runs[index]!.page;
    expect(tokens.get(origin.id) ?? token).toBe(token);
    expect(ids.get(token) ?? origin.id).toBe(origin.id);
    tokens.set(origin.id, token);
    ids.set(token, origin.id);
  });
}

test('10,000 random histories of two threads leave the ledger equal to the page map', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) => {
      const machine = new Machine();
      const before: Token = {
        operation: 'seed',
        site: 9,
        threadId: 11,
        class: 'anonymous',
        attachment: false,
      };
      machine.emit(0, 'seed', 'complete', 9, [BASE + 4 * PAGE, 3 * PAGE, 3, 0x02], {});
      machine.map(BASE + 4 * PAGE, 3, before, 3);
      machine.emit(0, 'brk', 'complete', 0, [0], { result: machine.breakAddress });
      for (const [index, next] of steps.entries()) {
        run(machine, next);
        if (index % 8 === 0) recount(machine.ledger);
        if (machine.calls.every((call) => call === undefined)) compare(machine);
      }
      for (const call of machine.calls) for (const finish of call?.steps ?? []) finish();
      compare(machine);
      recount(machine.ledger);
      expect(machine.ledger.counters).toMatchObject({ contradictions: 0, unmatched: 0, unplaced: 0 });

      const restored = MappingLedger.restore(machine.ledger.serialize());
      expect([...restored.ranges()]).toEqual([...machine.ledger.ranges()]);
      expect(restored.counters).toEqual(machine.ledger.counters);
      recount(restored);
    }),
    { numRuns: 10_000 },
  );
});
