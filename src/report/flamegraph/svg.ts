import type { Caption } from './caption.js';
import type { Layout } from './layout.js';
import { escapeMarkup } from './markup.js';
import { FLAME_STYLE } from './palette.js';
import { frameElements, ROW_PIXELS, shownKinds } from './picture.js';
import { FLAME_SCRIPT } from './script.js';

const WIDTH = 1200;
const LINE_PIXELS = 18;

/** A self-contained SVG file; as wide as the window where its script runs, 1200 pixels elsewhere. */
export function flameSvg(drawn: Layout, { title, subtitle, hint, gaps }: Caption): string {
  const notes = [subtitle, ...gaps, hint];
  const toolsY = 46 + notes.length * LINE_PIXELS;
  const legendY = toolsY + 10;
  const top = legendY + 26;
  const height = top + drawn.rows * ROW_PIXELS + 10;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg class="flame" xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" data-fluid="1">
<title>${escapeMarkup(title)}</title>
<style>${FLAME_STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
<text class="title" x="10" y="24">${escapeMarkup(title)}</text>
${notes.map((line, index) => note(line, 44 + index * LINE_PIXELS)).join('\n')}
<text class="button" id="flame-search" x="10" y="${toolsY}">Search</text>
<text class="button" id="flame-reset" x="66" y="${toolsY}" style="display:none">Reset zoom</text>
<text class="note" id="flame-matched" x="146" y="${toolsY}"></text>
${legend(drawn, legendY)}
${frameElements(drawn, top)}
<script><![CDATA[${FLAME_SCRIPT}]]></script>
</svg>
`;
}

function note(line: string, y: number): string {
  return `<text class="note" x="10" y="${y}">${escapeMarkup(line)}</text>`;
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
