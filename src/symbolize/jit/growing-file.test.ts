import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GrowingFile } from './growing-file.js';

function growing({ isOwner = (): boolean => true, notBeforeMs = 0 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'offheap-growing-'));
  const path = join(folder, 'map');
  const file = new GrowingFile({ name: 'the map', path: () => path, isOwner, notBeforeMs });
  onTestFinished(() => {
    file.close();
    rmSync(folder, { recursive: true });
  });
  const next = (most = 1 << 20) => {
    const growth = file.read(most);
    if (growth === null) return null;
    file.take(growth.bytes.length);
    return [growth.bytes.toString(), growth.isAnew];
  };
  return { path, file, next };
}

test('what is appended is read once, whatever the chunks', () => {
  const { path, next } = growing();
  expect(next()).toBe(null);
  writeFileSync(path, 'one two');
  expect(next(3)).toEqual(['one', true]);
  expect(next()).toEqual([' two', false]);
  expect(next()).toBe(null);
  appendFileSync(path, ' three');
  expect(next()).toEqual([' three', false]);
});

test('what was not taken comes again, with what came behind it', () => {
  const { path, file } = growing();
  writeFileSync(path, 'whole ha');
  file.read(100);
  file.take(6);
  expect(file.read(100)?.bytes.toString()).toBe('ha');
  appendFileSync(path, 'lf');
  expect(file.read(100)).toEqual({ bytes: Buffer.from('half'), offset: 6, isAnew: false });
});

test('a file that was written anew, shorter or longer, is read from its begin', () => {
  const { path, next } = growing();
  writeFileSync(path, 'first text');
  next();
  writeFileSync(path, 'other');
  expect(next()).toEqual(['other', true]);
  writeFileSync(path, 'and a longer one');
  expect(next()).toEqual(['and a longer one', true]);
});

test('a file that another one has replaced is read from its begin; one that is gone stays open', () => {
  const { path, next } = growing();
  writeFileSync(path, 'first');
  next();
  writeFileSync(`${path}.new`, 'first and more');
  renameSync(`${path}.new`, path);
  expect(next()).toEqual(['first and more', true]);
  appendFileSync(path, '!');
  renameSync(path, `${path}.old`);
  expect(next()).toEqual(['!', false]);
});

test('somebody else’s file, an old one and a link are not believed, and said', () => {
  const others = growing({ isOwner: () => false });
  writeFileSync(others.path, 'x');
  expect(others.next()).toBe(null);
  expect(others.file.problem).toMatch(/^the map belongs to user \d+, not to the process's: not believed$/);

  const old = growing({ notBeforeMs: Date.now() });
  writeFileSync(old.path, 'x');
  utimesSync(old.path, 1000, 1000);
  expect(old.next()).toBe(null);
  expect(old.file.problem).toBe('the map is older than the process: not believed');

  const link = growing();
  writeFileSync(`${link.path}.target`, 'x');
  symlinkSync(`${link.path}.target`, link.path);
  expect(link.next()).toBe(null);
  expect(link.file.problem).toBe("the map can't be read: ELOOP");
});
