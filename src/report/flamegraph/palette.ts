import type { FrameKind } from './kind.js';

/** Hue and saturation by kind; a shade of them tells modules of one kind apart. */
const HUES: Record<FrameKind, readonly [hue: number, saturation: number]> = {
  process: [215, 16],
  program: [142, 42],
  library: [26, 82],
  allocator: [205, 62],
  interpreted: [48, 82],
  kernel: [0, 55],
  plumbing: [220, 8],
  enclosed: [318, 62],
  unknown: [275, 22],
};

export const VARIANTS = 3;
const HUE_STEP = 10;

/** The same module has the same shade in every picture. */
export function variantOf(module: string): number {
  let hash = 0;
  for (let index = 0; index < module.length; index += 1) hash = (hash * 31 + module.charCodeAt(index)) >>> 0;
  return hash % VARIANTS;
}

function fills(lightest: number, plumbing: number, step: number): string {
  return Object.entries(HUES)
    .flatMap(([kind, [hue, saturation]]) =>
      Array.from({ length: VARIANTS }, (_, variant) => {
        const lightness = (kind === 'plumbing' ? plumbing : lightest) - variant * step;
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
${fills(76, 92, 3)}
@media (prefers-color-scheme:dark){
.flame{background:#0f1318}
.flame text{fill:#e6edf3}
.flame .note{fill:#9aa5b1}
.flame .button{fill:#6cb6ff}
.flame .paper{fill:#0f1318}
.frame>rect,.frame.match>rect{stroke:#0f1318}
.frame.plumbing>text{fill:#9aa5b1}
.frame:hover>rect,.frame.match>rect{stroke:#fff}
${fills(38, 20, 3)}
}`;
