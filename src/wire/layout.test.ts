import { expect, test } from 'vitest';
import { layout } from './addon.js';
import { checkLayout, fieldOffset } from './layout.js';

test('an addon with other names is refused', () => {
  const operations = layout.enumerations.operations.map((name) => (name === 'mmap' ? 'map' : name));
  const other = { ...layout, enumerations: { ...layout.enumerations, operations } };
  expect(() => checkLayout(other)).toThrow(expect.objectContaining({ code: 'ADDON_VERSION' }));
  const longer = { ...layout.enumerations, phases: [...layout.enumerations.phases, 'undone'] };
  expect(() => checkLayout({ ...layout, enumerations: longer })).toThrow(
    expect.objectContaining({ code: 'ADDON_VERSION' }),
  );
});

test('fields lie inside of their structures, and unknown ones are an error', () => {
  for (const { bytes, fields } of Object.values(layout.structures)) {
    expect(fields.every((field) => field.offset + field.bytes <= bytes)).toBe(true);
  }
  expect(fieldOffset(layout.structures.Event, 'sequence')).toBe(0);
  expect(() => fieldOffset(layout.structures.Event, 'colour')).toThrow(TypeError);
});
