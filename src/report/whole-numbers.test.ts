import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { wholeNumbers } from './whole-numbers.js';

test('rows add up to the rounded total, none off by more than one', () => {
  // Doubles drawn at random are mostly next to nothing.
  const estimate = fc.integer({ min: 0, max: 1e9 }).map((eighths) => eighths / 8);
  const estimates = fc.array(estimate, { maxLength: 200 });
  fc.assert(
    fc.property(estimates, (values) => {
      const whole = wholeNumbers(values);
      expect(whole.every((each) => Number.isSafeInteger(each) && each >= 0)).toBe(true);
      let sum = 0;
      for (const value of values) sum += value;
      expect(whole.reduce((all, each) => all + each, 0)).toBe(Math.round(sum));
      for (const [index, value] of values.entries()) {
        expect(Math.abs(whole[index]! - value)).toBeLessThanOrEqual(1 + 1e-4);
      }
    }),
  );
});

test('whole numbers stay as they are', () => {
  expect(wholeNumbers([3, 0, 7])).toEqual([3, 0, 7]);
});
