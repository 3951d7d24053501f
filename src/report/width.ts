import stringWidth from 'string-width';

/** Text in the columns of a terminal. Apart, since what measures it takes milliseconds to load. */

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

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
