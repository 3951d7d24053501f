import { OffheapError } from '../wire/error.js';

/**
 * Throws `OPTION_REFUSED` for a value that is none of those known. JavaScript and the prompt have no types, and what is misspelt
 * must not give another picture.
 */
export function checkChoice(option: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw new OffheapError(
    'OPTION_REFUSED',
    `there is no ${option} ${JSON.stringify(value)}; choose one of ${known.join(', ')}`,
  );
}
