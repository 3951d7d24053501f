import type { Caption } from './caption.js';
import type { Layout } from './layout.js';
import { escapeMarkup } from './markup.js';
import { FLAME_STYLE } from './palette.js';
import { frameElements, ROW_PIXELS, shownKinds } from './picture.js';
import { FLAME_SCRIPT } from './script.js';

const WIDTH = 1200;
const TOP = 76;
const LEGEND_PIXELS = 34;
const LINE_PIXELS = 18;

/** A self-contained SVG file; as wide as the window where its script runs, 1200 pixels elsewhere. */
export function flameSvg(drawn: Layout, { title, subtitle, footer }: Caption): string {
  const bottom = TOP + drawn.rows * ROW_PIXELS + 8;
  const height = bottom + LEGEND_PIXELS + (footer.length + 1) * LINE_PIXELS;
  const notes = ['', ...footer].map((line, index) => {
    const y = bottom + LEGEND_PIXELS + index * LINE_PIXELS;
    return index === 0 ? '' : `<text class="note" x="10" y="${y}">${escapeMarkup(line)}</text>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg class="flame" xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" data-fluid="1">
<title>${escapeMarkup(title)}</title>
<style>${FLAME_STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="title" x="10" y="24">${escapeMarkup(title)}</text>
<text class="note" x="10" y="44">${escapeMarkup(subtitle)}</text>
<text class="button" id="flame-search" x="10" y="65">Search</text>
<text class="button" id="flame-reset" x="66" y="65" style="display:none">Reset zoom</text>
<text class="note" id="flame-matched" x="146" y="65"></text>
${frameElements(drawn, TOP)}
${legend(drawn, bottom)}
${notes.join('\n')}
<script><![CDATA[${FLAME_SCRIPT}]]></script>
</svg>
`;
}

function legend(drawn: Layout, y: number): string {
  let x = 10;
  return shownKinds(drawn)
    .map(({ kind, text }) => {
      const entry = `<svg class="${kind} v0" x="${x}" y="${y}" width="14" height="14"><rect width="14" height="14" rx="2"/></svg><text class="note" x="${x + 20}" y="${y + 11}">${text}</text>`;
      x += 44 + text.length * 6.5;
      return entry;
    })
    .join('\n');
}
