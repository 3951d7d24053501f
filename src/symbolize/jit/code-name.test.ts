import { expect, test } from 'vitest';
import fc from '../../../test/support/properties.js';
import { readCodeName } from './code-name.js';

const said = (raw: string) => {
  const { language, function: name, file, line } = readCodeName(raw);
  return [language, name, file, line];
};

test.each([
  ['JS:*grow file:///srv/app.mjs:12:14', ['javascript', 'grow', '/srv/app.mjs', 12]],
  ['JS:~ file:///srv/a%20b.mjs:3:1', ['javascript', '(anonymous)', '/srv/a b.mjs', 3]],
  ['JS:^ file:///srv/app.mjs:1:1', ['javascript', '(top level)', '/srv/app.mjs', 1]],
  ['JS:~get [Symbol.species] node:buffer:391:30', ['javascript', 'get [Symbol.species]', 'node:buffer', 391]],
  ['LazyCompile:*read /srv/my app/lib.js:7:3', ['javascript', 'read', '/srv/my app/lib.js', 7]],
  ['LazyCompile:~read lib.js:7:3', ['javascript', 'read', 'lib.js', 7]],
  ['Script:~ file:///srv/app.mjs:1:1', ['javascript', '(top level)', '/srv/app.mjs', 1]],
  ['Eval:~ evalmachine.<anonymous>:1:1', ['javascript', '(top level)', 'evalmachine.<anonymous>', 1]],
  ['Function:add-0-turbofan', ['javascript', 'add-0-turbofan', null, null]],
  ['JS:*f file:///%zz.js:1:2', ['javascript', 'f', 'file:///%zz.js', 1]],
  ['JS:~', ['javascript', '(anonymous)', null, null]],
  ['RegExp:^a b$', ['javascript', 'RegExp:^a b$', null, null]],
  ['py::Worker.run:/srv/app.py', ['python', 'Worker.run', '/srv/app.py', null]],
  ['py::<lambda>:/srv/a:b.py', ['python', '<lambda>', '/srv/a:b.py', null]],
  ['Ljava/util/HashMap;::put', ['java', 'java.util.HashMap.put', null, null]],
  ['Ljava/util/HashMap;put(Ljava/lang/Object;)V', ['java', 'java.util.HashMap.put', null, null]],
  ['Lapp/Main$Job;::run(Main.java:88)', ['java', 'app.Main$Job.run', 'Main.java', 88]],
  [
    'java.lang.Object java.util.HashMap.put(java.lang.Object, java.lang.Object)',
    ['java', 'java.util.HashMap.put', null, null],
  ],
  ['void Churn.<clinit>()', ['java', 'Churn.<clinit>', null, null]],
  ['byte[] app.Main.grow(int)', ['java', 'app.Main.grow', null, null]],
  ['java.util.HashMap::put', ['java', 'java.util.HashMap.put', null, null]],
  ['java/util/HashMap.put', ['java', 'java.util.HashMap.put', null, null]],
  ['Interpreter', ['native', 'Interpreter', null, null]],
  ['Builtin:CallProxy', ['native', 'Builtin:CallProxy', null, null]],
  ['vtable stub', ['native', 'vtable stub', null, null]],
  ['evil\u001b[2J\u0007', ['native', 'evil?[2J?', null, null]],
])('%s', (raw, expected) => {
  expect(said(raw)).toEqual(expected);
});

test('any name is read in time that grows with its length, and can steer no terminal', () => {
  const names = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 4096 }),
    fc
      .tuple(
        fc.constantFrom('JS:*', 'LazyCompile:~', 'py::', 'L', 'void ', 'a.B.', 'RegExp:', ''),
        fc.constantFrom('a.', ' ', ':1', '/', 'file:///', 'A', ';', '('),
        fc.nat(1000),
        fc.string(),
      )
      .map(([prefix, part, times, end]) => prefix + part.repeat(times) + end),
  );
  fc.assert(
    fc.property(names, (raw) => {
      const { function: name, file } = readCodeName(raw);
      expect(`${name}${file}`).not.toMatch(/\p{Cc}/u);
      expect(name.length).toBeLessThanOrEqual(1024);
    }),
  );
});
