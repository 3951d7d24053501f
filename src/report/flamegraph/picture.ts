import { formatBytes, formatCount, formatPercent, percentOf } from '../bytes.js';
import type { FlameNode } from './fold.js';
import { type FrameKind, KIND_TEXTS } from './kind.js';
import type { Box, Layout } from './layout.js';
import { escapeMarkup } from './markup.js';
import { variantOf } from './palette.js';

export const ROW_PIXELS = 19;
/** Names of folded frames that the hover text lists. */
const MOST_INSIDE = 12;

/**
 * The frames as SVG, root at the top, `top` pixels down: what is wide stands on the first screen, however deep the
 * narrowest stack is. Positions are percentages and each frame is an `svg` of
 * its own, which clips its text: the picture fits any width without measuring fonts.
 */
export function frameElements({ boxes, noun }: Layout, top: number): string {
  const total = boxes[0]?.node.bytes ?? 0;
  return boxes.map((box) => frameElement(box, total, top + box.depth * ROW_PIXELS, noun)).join('\n');
}

function frameElement({ node, depth, startBytes }: Box, total: number, y: number, noun: string): string {
  const { name, detail, kind, bytes, count } = node;
  const share = formatPercent(percentOf(bytes, total));
  const hover = `${name}\n${detail}${insideText(node)}\n${formatBytes(bytes)} · ${share} · ${formatCount(count, noun)}`;
  const variant = kind === 'process' || kind === 'enclosed' ? 0 : variantOf(moduleOrFile(detail));
  return [
    `<svg class="frame ${kind} v${variant}" data-depth="${depth}" data-start="${startBytes}" data-bytes="${bytes}"`,
    ` x="${percentage(startBytes, total)}" y="${y}" width="${percentage(bytes, total)}" height="${ROW_PIXELS}">`,
    `<title>${escapeMarkup(hover)}</title>`,
    `<rect width="100%" height="${ROW_PIXELS - 1}" rx="2"/>`,
    `<text x="4" y="13">${escapeMarkup(name)}${moduleSpan(node)}</text></svg>`,
  ].join('');
}

/** "libucs.so.0, /src/mpool.c:57" → "libucs.so.0", "/srv/app.py:12" → "/srv/app.py": lines have no shades of their own. */
function moduleOrFile(detail: string): string {
  return detail.replace(/(?:, |:\d).*$/s, '');
}

/** "libucs.so.0, /src/mpool.c:57" → "libucs.so.0, mpool.c:57": the hover text has the whole path. */
function withoutFolders(detail: string): string {
  return detail.replace(/(^|, )\.{0,2}\/(?:[^,]*\/)?/g, '$1');
}

/** What a box that stands for several frames stands for. */
function insideText({ inside }: FlameNode): string {
  if (inside === undefined) return '';
  const names = [...inside];
  const more = names.length > MOST_INSIDE ? `, … ${names.length - MOST_INSIDE} more` : '';
  return `: ${names.slice(0, MOST_INSIDE).join(', ')}${more}`;
}

/** Which library it is, is what most people look for: said wherever it fits. */
function moduleSpan({ kind, name, detail, inside }: FlameNode): string {
  if (kind === 'process' || kind === 'enclosed' || kind === 'unknown') return '';
  // A function without a name goes by its module's.
  if (name.startsWith(`${detail}+`) || inside !== undefined) return '';
  return `<tspan class="module" dx="8">${escapeMarkup(withoutFolders(detail))}</tspan>`;
}

/** The kinds that the picture shows, in a fixed order. */
export function shownKinds(...pictures: readonly Layout[]): { kind: FrameKind; text: string }[] {
  const present = new Set(pictures.flatMap(({ boxes }) => boxes.map(({ node }) => node.kind)));
  return (Object.keys(KIND_TEXTS) as FrameKind[])
    .filter((kind) => present.has(kind) && kind !== 'process')
    .map((kind) => ({ kind, text: KIND_TEXTS[kind] }));
}

function percentage(part: number, whole: number): string {
  return `${percentOf(part, whole).toFixed(4)}%`;
}
