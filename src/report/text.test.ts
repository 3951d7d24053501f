import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { printable } from './text.js';
import { cut, padTo, stringWidth } from './width.js';

test('control, direction and lone surrogate characters come out as text', () => {
  expect(printable('a\u001b[2Jb\n\u202ec\u009b\ud800')).toBe('a\\x1b[2Jb\\x0a\\x202ec\\x9b\\xd800');
  expect(printable('größe 日本 🙂')).toBe('größe 日本 🙂');
});

test('padTo is exactly as wide as asked, for any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 40 }), (text, columns) => {
      const shown = printable(text);
      expect(stringWidth(padTo(shown, columns))).toBe(columns);
      expect(stringWidth(cut(shown, columns))).toBeLessThanOrEqual(columns);
    }),
  );
});

test('cut says that something is missing', () => {
  expect(cut('ucs_rcache_unmapped_callback', 12)).toBe('ucs_rcache_…');
  expect(cut('日本語', 4)).toBe('日…');
});
