import { describe, expect, test } from 'vitest';
import { type SeenCall, WitnessedCalls } from './witnessed-calls.js';

const [NONE, READ, READ_WRITE, READ_EXEC_WRITE] = [0, 1, 3, 7];
const PAGE = 4096;
const LATE = Number.POSITIVE_INFINITY;

/** Calls end at round microseconds ×10, and leave their records 3 µs before. */
class History {
  readonly calls: WitnessedCalls;
  #nowNs = 0;

  constructor({ ofOneThread = true, sinceNs = 0 } = {}) {
    this.calls = new WitnessedCalls({ ofOneThread, sinceNs });
  }

  unseen(page: number, pages: number, protection: number): this {
    this.#nowNs += 10_000;
    this.#record(page, pages, protection);
    return this;
  }

  mapping(page: number, pages: number, protection: number, area = { page, pages }): this {
    this.unseen(area.page, area.pages, protection);
    return this.#call('mapping', page, pages, protection);
  }

  protection(
    page: number,
    pages: number,
    protection: number,
    ...areas: { page: number; pages: number }[]
  ): this {
    this.#nowNs += 10_000;
    for (const area of areas) this.#record(area.page, area.pages, protection);
    return this.#call('protection', page, pages, protection);
  }

  settled(untilNs = LATE): { paired: number; unseen: number; unwitnessed: number; waiting: number } {
    this.calls.settle(untilNs);
    const { paired, unseen, unwitnessed, waiting } = this.calls;
    return { paired, unseen, unwitnessed, waiting };
  }

  #record(page: number, pages: number, protection: number): void {
    const [start, end] = [page * PAGE, (page + pages) * PAGE];
    this.calls.record({ start, end, protection, timeNs: this.#nowNs - 3000 });
  }

  #call(makes: SeenCall['makes'], page: number, pages: number, protection: number): this {
    const [start, end] = [page * PAGE, (page + pages) * PAGE];
    this.calls.call({ makes, start, end, protection, timeNs: this.#nowNs });
    return this;
  }
}

const outcome = (paired: number, unseen: number) => ({ paired, unseen, unwitnessed: 0, waiting: 0 });

describe('a record is of the call that made it', () => {
  test('of a new mapping, also where it has become one with its neighbours', () => {
    const history = new History()
      .mapping(10, 2, READ_WRITE)
      .mapping(12, 2, READ_WRITE, { page: 10, pages: 4 });
    expect(history.settled()).toEqual(outcome(2, 0));
  });

  test('of each area whose protection was changed, and of none where nothing changes', () => {
    const history = new History()
      .mapping(10, 8, NONE)
      .protection(10, 4, READ_WRITE, { page: 8, pages: 3 }, { page: 8, pages: 6 })
      .protection(10, 4, READ_WRITE);
    expect(history.settled()).toEqual(outcome(1, 0));
  });

  test('of a mapping that lies where another lay, and was protected the same way', () => {
    const history = new History();
    for (let i = 0; i < 5; i++) history.mapping(10, 2, READ_WRITE).protection(10, 2, READ_WRITE);
    expect(history.settled()).toEqual(outcome(5, 0));
    history.protection(10, 2, READ_WRITE, { page: 10, pages: 2 }).mapping(10, 1, READ_WRITE);
    expect(history.settled()).toEqual(outcome(6, 0));
  });

  test('with memory that may be executed because it may be read', () => {
    const history = new History();
    history.calls.record({ start: 0, end: PAGE, protection: READ_EXEC_WRITE, timeNs: 1 });
    history.calls.call({ makes: 'mapping', start: 0, end: PAGE, protection: READ_WRITE, timeNs: 2 });
    expect(history.settled()).toEqual(outcome(1, 0));
  });
});

describe('what nobody saw is counted', () => {
  test('at an address that is used again by calls that are seen', () => {
    const history = new History()
      .mapping(10, 2, READ_WRITE)
      .unseen(10, 2, READ_WRITE)
      .mapping(10, 2, READ_WRITE)
      .unseen(10, 2, READ_WRITE);
    expect(history.settled()).toEqual(outcome(2, 2));
  });

  test('where its memory is protected otherwise afterwards', () => {
    const history = new History().unseen(10, 2, READ_WRITE).protection(10, 2, READ, { page: 10, pages: 2 });
    expect(history.settled()).toEqual(outcome(0, 1));
  });

  test('where changes of protection are elsewhere', () => {
    const history = new History().unseen(10, 2, READ_WRITE).protection(20, 2, READ_WRITE);
    expect(history.settled()).toEqual(outcome(0, 1));
  });

  test('until its call is told, however late', () => {
    const history = new History().unseen(10, 2, READ_WRITE).unseen(20, 2, READ_WRITE).unseen(30, 2, READ);
    expect(history.settled()).toEqual(outcome(0, 3));
    history.calls.call({
      makes: 'mapping',
      start: 10 * PAGE,
      end: 12 * PAGE,
      protection: READ_WRITE,
      timeNs: 1e6,
    });
    history.calls.call({
      makes: 'protection',
      start: 30 * PAGE,
      end: 31 * PAGE,
      protection: READ,
      timeNs: 2e6,
    });
    expect(history.settled()).toEqual(outcome(1, 1));
  });
});

test('what is younger waits for its other half', () => {
  const history = new History().mapping(10, 2, READ_WRITE).unseen(20, 2, READ_WRITE);
  expect(history.settled(0)).toEqual({ paired: 1, unseen: 0, unwitnessed: 0, waiting: 1 });
  history.calls.call({
    makes: 'mapping',
    start: 20 * PAGE,
    end: 22 * PAGE,
    protection: READ_WRITE,
    timeNs: 30_000,
  });
  expect(history.settled(0)).toEqual(outcome(2, 0));
});

test('a call without a record accuses nobody', () => {
  const history = new History();
  history.calls.call({ makes: 'mapping', start: 0, end: PAGE, protection: READ_WRITE, timeNs: 10_000 });
  expect(history.settled()).toEqual({ paired: 0, unseen: 0, unwitnessed: 1, waiting: 0 });
});

test('a handler’s call is told before the one that it came into', () => {
  const history = new History();
  history.calls.record({ start: 0, end: PAGE, protection: READ_WRITE, timeNs: 1000 });
  history.calls.record({ start: 8 * PAGE, end: 9 * PAGE, protection: READ_WRITE, timeNs: 2000 });
  history.calls.call({
    makes: 'mapping',
    start: 8 * PAGE,
    end: 9 * PAGE,
    protection: READ_WRITE,
    timeNs: 3000,
  });
  history.calls.call({ makes: 'mapping', start: 0, end: PAGE, protection: READ_WRITE, timeNs: 4000 });
  expect(history.settled()).toEqual(outcome(2, 0));
});

test('clocks that differ by a microsecond do no harm', () => {
  const history = new History();
  const call = { start: 0, end: PAGE, protection: READ_WRITE };
  history.calls.call({ ...call, makes: 'mapping', timeNs: 10_000 });
  history.calls.record({ start: 0, end: PAGE, protection: READ_WRITE, timeNs: 11_000 });
  history.calls.call({ ...call, makes: 'protection', protection: READ, timeNs: 20_000 });
  history.calls.record({ start: 0, end: PAGE, protection: READ, timeNs: 21_000 });
  expect(history.settled()).toEqual(outcome(1, 0));
});

test('of threads that can’t be told apart calls may overlap', () => {
  const history = new History({ ofOneThread: false });
  history.calls.record({ start: 0, end: PAGE, protection: READ, timeNs: 1000 });
  history.calls.record({ start: 8 * PAGE, end: 9 * PAGE, protection: READ_WRITE, timeNs: 2000 });
  history.calls.call({
    makes: 'mapping',
    start: 8 * PAGE,
    end: 9 * PAGE,
    protection: READ_WRITE,
    timeNs: 3000,
  });
  history.calls.call({ makes: 'protection', start: 0, end: PAGE, protection: READ, timeNs: 4000 });
  expect(history.settled()).toEqual(outcome(1, 0));
});

test('what was passed over is not compared, and nothing that happened before', () => {
  const history = new History({ sinceNs: 5000 }).mapping(10, 2, READ_WRITE).unseen(20, 2, READ_WRITE);
  history.calls.passOver(100_000);
  expect(history.settled()).toEqual(outcome(0, 0));
  history.mapping(10, 2, READ_WRITE);
  expect(history.settled()).toEqual(outcome(0, 0));
});

test('the newest record behind the last call can be excused: its thread has ended before it told', () => {
  const history = new History()
    .unseen(20, 2, READ_WRITE)
    .mapping(10, 2, READ_WRITE)
    .unseen(30, 2, READ_WRITE);
  history.settled();
  history.calls.excuseLast(5);
  expect(history.settled()).toEqual(outcome(1, 1));
});
