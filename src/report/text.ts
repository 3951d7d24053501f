import stringWidth from 'string-width';

/** Text as a terminal shows it. Names come from the target's files: they may hold anything. */

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/**
 * Control and direction characters as `\xNN`, so that a file or function name can't steer the terminal that
 * prints it or turn a line around.
 */
export function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal.
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]/gu,
    (character) => `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}

/** Cuts to `columns` terminal columns, with an ellipsis where something is missing. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (stringWidth(text) <= columns) return text;
  let kept = '';
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    const next = stringWidth(segment);
    if (width + next > columns - 1) break;
    kept += segment;
    width += next;
  }
  return `${kept}…`;
}

/** Exactly `columns` wide: cut or padded. */
export function padTo(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const shown = cut(text, columns);
  const padding = ' '.repeat(Math.max(0, columns - stringWidth(shown)));
  return align === 'left' ? shown + padding : padding + shown;
}

export { stringWidth };
