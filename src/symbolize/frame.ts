import { fileAddress, type Module } from '../modules/table.js';
import type { Chain } from './lines/chain.js';
import type { SourceLines } from './lines/source-lines.js';
import { displayName, type Symbolizer } from './symbols.js';
import type { UnnamedReason } from './unnamed.js';

export type Language = 'native' | 'python' | 'javascript' | 'java';

/** A stack frame for reports. */
export interface Frame {
  module: string;
  function: string | null;
  file: string | null;
  line: number | null;
  /** The compiler put it into its caller, the next frame. */
  inlined: boolean;
  language: Language;
  /** Runtime address, hexadecimal. */
  address: string;
  /** Address in the module's file, hexadecimal; the runtime address where no module is known. */
  fileAddress: string;
  /** Why `function` is null; absent where it isn't. */
  unnamed?: UnnamedReason;
  /** Where the function without a name begins in the module's file, hexadecimal; absent where that isn't known. */
  functionAddress?: string;
}

const UNKNOWN_MODULE = '[unknown]';

/**
 * Describes the code at a runtime address. `exact` says that the address is the instruction itself and not one to
 * which a call returns; `module` is null where none was mapped there.
 */
export function describeFrame(
  symbolizer: Symbolizer,
  module: Module | null,
  address: number,
  exact: boolean,
): Frame {
  const name = module && (symbolizer.function(module, address, exact)?.name ?? null);
  const unnamed = module === null ? 'unknownModule' : name === null ? symbolizer.whyUnnamed(module) : null;
  return {
    module: module?.name ?? UNKNOWN_MODULE,
    function: name,
    file: null,
    line: null,
    inlined: false,
    language: 'native',
    address: hexadecimal(address),
    fileAddress: hexadecimal(module ? fileAddress(module, address) : address),
    ...(unnamed === null ? {} : { unnamed, ...beginning(symbolizer, module, address, exact) }),
  };
}

function beginning(symbolizer: Symbolizer, module: Module | null, address: number, exact: boolean) {
  const begin = module && symbolizer.functionAddress(module, address, exact);
  return begin === null ? {} : { functionAddress: hexadecimal(begin) };
}

/**
 * As `describeFrame`, with the lines of source as far as they are known: one frame for each call that was inlined at
 * the address, leaf first, and the one of the function that holds them.
 */
export function describeFrames(
  symbolizer: Symbolizer,
  lines: SourceLines,
  module: Module | null,
  address: number,
  exact: boolean,
): Frame[] {
  const frame = describeFrame(symbolizer, module, address, exact);
  const chain = module === null ? undefined : lines.chain(module, exact ? address : address - 1);
  if (chain === undefined || chain.length === 0) return [frame];
  const { unnamed, functionAddress, ...place } = frame;
  const why = {
    ...(unnamed === undefined ? {} : { unnamed }),
    ...(functionAddress === undefined ? {} : { functionAddress }),
  };
  return withoutSplit(chain, frame.function).map(({ rawFunction, file, line }, index, { length }) => {
    const inlined = index < length - 1;
    const named = rawFunction === null ? null : displayName(rawFunction);
    // The symbol table's name for the function as a whole: it was shown before the lines were known.
    const name = inlined ? named : (frame.function ?? named);
    return { ...place, file, line, inlined, function: name, ...(name === null ? why : {}) };
  });
}

/**
 * gcc splits functions and inlines a part again: debug information then tells of a function within itself. Where the
 * symbol table calls the whole by another name (mmap, not __GI___mmap64), it is no recursion.
 */
function withoutSplit(chain: Chain, symbol: string | null): Chain {
  const [part, whole] = [chain.at(-2), chain.at(-1)];
  const name = whole?.rawFunction ?? null;
  const isSplit =
    name !== null && part?.rawFunction === name && symbol !== null && symbol !== displayName(name);
  return isSplit ? chain.slice(0, -1) : chain;
}

function hexadecimal(address: number): string {
  return `0x${address.toString(16)}`;
}
