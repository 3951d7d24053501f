import { fileAddress, type Module } from '../modules/table.js';
import type { Symbolizer } from './symbols.js';

export type Language = 'native' | 'python' | 'javascript' | 'java';

/** A stack frame for reports. */
export interface Frame {
  module: string;
  function: string | null;
  file: string | null;
  line: number | null;
  inlined: boolean;
  language: Language;
  /** Runtime address, hexadecimal. */
  address: string;
  /** Address in the module's file, hexadecimal; the runtime address where no module is known. */
  fileAddress: string;
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
  return {
    module: module?.name ?? UNKNOWN_MODULE,
    function: module && (symbolizer.function(module, address, exact)?.name ?? null),
    file: null,
    line: null,
    inlined: false,
    language: 'native',
    address: hexadecimal(address),
    fileAddress: hexadecimal(module ? fileAddress(module, address) : address),
  };
}

function hexadecimal(address: number): string {
  return `0x${address.toString(16)}`;
}
