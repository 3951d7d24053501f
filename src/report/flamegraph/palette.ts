import type { FrameKind } from './kind.js';

/** Hue, saturation, and lightness on a light and on a dark ground, the last three in percent. */
type Fill = readonly [hue: number, saturation: number, onLight: number, onDark: number];

/**
 * Fills by kind; shades of them tell modules of one kind apart. Native code has the hues from red to orange; the
 * languages have hues that people with any kind of colour vision tell apart, and differ in lightness too.
 */
const FILLS: Record<FrameKind, Fill> = {
  process: [215, 16, 76, 38],
  python: [205, 72, 76, 36],
  javascript: [54, 90, 79, 30],
  java: [164, 50, 68, 28],
  program: [26, 36, 74, 36],
  library: [26, 86, 75, 38],
  allocator: [8, 70, 76, 42],
  kernel: [0, 18, 76, 38],
  plumbing: [220, 8, 92, 20],
  enclosed: [318, 62, 76, 38],
  unknown: [275, 22, 76, 38],
};

export const VARIANTS = 3;
const HUE_STEP = 6;

/** The same module has the same shade in every picture. */
export function variantOf(module: string): number {
  let hash = 0;
  for (let index = 0; index < module.length; index += 1) hash = (hash * 31 + module.charCodeAt(index)) >>> 0;
  return hash % VARIANTS;
}

function fills(ground: 'light' | 'dark', step: number): string {
  return Object.entries(FILLS)
    .flatMap(([kind, [hue, saturation, onLight, onDark]]) =>
      Array.from({ length: VARIANTS }, (_, variant) => {
        const lightness = (ground === 'light' ? onLight : onDark) - variant * step;
        const shade = hue + (variant - 1) * HUE_STEP;
        return `.${kind}.v${variant}>rect{fill:hsl(${shade},${saturation}%,${lightness}%)}`;
      }),
    )
    .join('\n');
}

/** Style of the picture, for light and dark surroundings. */
export const FLAME_STYLE = `
.flame{font:12px ui-sans-serif,system-ui,"Segoe UI",Roboto,sans-serif;background:#fff}
.flame text{fill:#1b1f24;pointer-events:none}
.flame .title{font-size:16px;font-weight:600}
.flame .note{fill:#57606a}
.flame .module{fill-opacity:.62}
.flame .button{pointer-events:all;cursor:pointer;fill:#0969da}
.flame .paper{fill:#fff}
.frame{cursor:pointer}
.frame>rect{stroke:#fff;stroke-width:1}
.frame.plumbing>text{fill:#57606a}
.frame.enclosed>rect{stroke:#8a1f6a;stroke-dasharray:4 2}
.frame:hover>rect{stroke:#1b1f24}
.frame.outside{display:none}
.frame.above{opacity:.55}
.searching .frame:not(.match)>rect{opacity:.3}
.frame.match>rect{stroke:#1b1f24;stroke-width:2}
${fills('light', 3)}
@media (prefers-color-scheme:dark){
.flame{background:#0f1318}
.flame text{fill:#e6edf3}
.flame .note{fill:#9aa5b1}
.flame .button{fill:#6cb6ff}
.flame .paper{fill:#0f1318}
.frame>rect,.frame.match>rect{stroke:#0f1318}
.frame.plumbing>text{fill:#9aa5b1}
.frame:hover>rect,.frame.match>rect{stroke:#fff}
${fills('dark', 3)}
}`;
