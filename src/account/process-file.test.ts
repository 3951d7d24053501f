import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { examinationRefusal, memoryRefusal } from './process-file.js';

const isRoot = process.geteuid?.() === 0;

/** Becomes a user who may not examine the first process; what is open and loaded stays. */
function asOrdinaryUser(): void {
  if (!isRoot) return;
  process.seteuid!(65534);
  onTestFinished(() => process.seteuid!(0));
}

test('a process of one’s own may be examined, and one that is gone is nobody’s', () => {
  expect([examinationRefusal(process.pid), memoryRefusal(process.pid)]).toEqual([null, null]);
  expect([examinationRefusal(4194303), memoryRefusal(4194303)]).toEqual([null, null]);
});

test('another’s may not: who may is said', () => {
  asOrdinaryUser();
  const refusal = /^process 1 may not be examined by you: it belongs to user 0; .*CAP_SYS_PTRACE$/;
  expect(examinationRefusal(1)).toMatch(refusal);
  expect(memoryRefusal(1, '/nowhere')).toMatch(refusal);
});

test('where Yama keeps memory from all but parents, the setting is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'offheap-yama-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  const [scope, nobody] = [join(folder, '1'), join(folder, '3')];
  writeFileSync(scope, '1\n');
  writeFileSync(nobody, '3\n');
  asOrdinaryUser();
  expect(memoryRefusal(1, scope)).toBe(
    'memory of process 1 may not be read: kernel.yama.ptrace_scope is 1; set it to 0, or run with CAP_SYS_PTRACE',
  );
  expect(memoryRefusal(1, nobody)).toBe(
    'memory of process 1 may not be read: kernel.yama.ptrace_scope is 3, for everybody and until the next boot; start the machine with a lower one',
  );
});
