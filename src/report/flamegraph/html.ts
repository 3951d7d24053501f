import type { Caption } from './caption.js';
import type { Layout } from './layout.js';
import { escapeMarkup } from './markup.js';
import { FLAME_STYLE } from './palette.js';
import { frameElements, ROW_PIXELS, shownKinds } from './picture.js';
import { FLAME_SCRIPT } from './script.js';

/**
 * A self-contained page: loads nothing, and says so to the browser. It shows the first of `pictures`, and the other one,
 * with plumbing unfolded, when asked.
 */
export function flameHtml(pictures: readonly Layout[], { title, subtitle, hint, gaps }: Caption): string {
  const legend = shownKinds(...pictures).map(
    ({ kind, text }) =>
      `<li><svg class="${kind} v0" width="14" height="14"><rect width="14" height="14" rx="2"/></svg>${text}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeMarkup(title)} · offheap</title>
<style>${PAGE_STYLE}${FLAME_STYLE}</style>
</head>
<body>
<header>
<h1>${escapeMarkup(title)}</h1>
<p>${escapeMarkup(subtitle)}</p>
<ul class="gaps">${gaps.map((line) => `<li>${escapeMarkup(line)}</li>`).join('')}</ul>
<div class="tools">
<input id="flame-search" type="search" placeholder="Search functions and modules" aria-label="Search functions and modules" autocomplete="off" spellcheck="false">
<button id="flame-reset" type="button">Reset zoom</button>
${pictures.length > 1 ? `<button id="flame-fold" type="button" aria-pressed="true" title="${FOLD_HINT}">Fold plumbing</button>` : ''}
<output id="flame-matched"></output>
</div>
<p>${escapeMarkup(hint)}</p>
<ul class="legend">${legend.join('')}</ul>
</header>
<main>
${pictures.map(pictureOf).join('\n')}
</main>
<pre id="flame-details" aria-live="polite">Click or tap a box to zoom, again to go back.</pre>
<script>${FLAME_SCRIPT}</script>
</body>
</html>
`;
}

const FOLD_HINT = 'Frames that only lead from one function to the next, in one box (key u)';

function pictureOf(drawn: Layout, index: number): string {
  return `<svg class="flame" width="100%" height="${drawn.rows * ROW_PIXELS}" role="img" aria-label="Flame graph"${index > 0 ? ' style="display:none"' : ''}>
${frameElements(drawn, 0)}
</svg>`;
}

const PAGE_STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--muted:#57606a;--paper:#fff;--line:#d0d7de}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9aa5b1;--paper:#0f1318;--line:#303842}}
body{margin:0;color:var(--ink);background:var(--paper);font:14px/1.45 ui-sans-serif,system-ui,"Segoe UI",Roboto,sans-serif}
header{padding:12px 16px 8px}
h1{margin:0;font-size:17px;overflow-wrap:anywhere}
header p{margin:2px 0;color:var(--muted)}
.tools{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:10px 0}
.tools input{flex:1 1 14rem;max-width:26rem;font:inherit;padding:6px 10px;border:1px solid var(--line);border-radius:6px;background:transparent;color:inherit}
input[type=search]:focus-visible,.tools button:focus-visible{outline:2px solid #0969da}
.tools button[aria-pressed=true]{border-color:currentColor}
.tools button{font:inherit;padding:6px 10px;border:1px solid var(--line);border-radius:6px;background:transparent;color:inherit;cursor:pointer}
.tools output{color:var(--muted)}
main{padding:0 8px}
.flame{display:block}
#flame-details{position:sticky;bottom:0;margin:8px 0 0;padding:8px 16px;min-height:4.2em;border-top:1px solid var(--line);background:var(--paper);color:var(--muted);font:13px/1.4 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:6px 0 0;padding:0;list-style:none}
.legend svg{vertical-align:-2px;margin-right:6px}
.gaps{margin:0;padding:0;list-style:none;color:var(--muted)}
`;
