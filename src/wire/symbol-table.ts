import { native, type SymbolTableHandle, symbolTables } from './addon.js';

/** The table's file was cut short since it was opened: it has to be read anew. */
export const TABLE_GONE = -2;

const { functionIndexAt, functionAddress, functionName, functionNameAt } = symbolTables;

/**
 * The functions of one file by address. Between two boundaries the name is the same: that of the innermost function
 * there. A function with a size ends with it, so padding has no name; one without reaches to the next function, unless
 * it lies within another. What .eh_frame alone knows of is a function without a name. Addresses are virtual ones of the
 * file. The bytes may come from a damaged file: whatever they hold, look-ups end with an answer.
 */
export class SymbolTable {
  readonly #table: SymbolTableHandle;
  /** Functions, one for each address. */
  readonly functions: number;
  /** Functions that have a name. */
  readonly named: number;
  readonly bytes: number;
  /** Whether the file had the symbols that strip removes. */
  readonly isFull: boolean;
  /** Name of the separate debug file that the file tells of. */
  readonly debugLink: string | null;

  private constructor(table: SymbolTableHandle) {
    this.#table = table;
    const { functions, named, bytes, isFull, debugLink } = symbolTables.symbolTableFigures(table);
    this.functions = functions;
    this.named = named;
    this.bytes = bytes;
    this.isFull = isFull;
    this.debugLink = debugLink;
  }

  /** A view of what `functionIndex` makes; throws a RangeError where the bytes are none of that. */
  static of(bytes: Uint8Array): SymbolTable {
    const table = symbolTables.symbolTable(bytes);
    if (table === undefined) throw new RangeError('no symbol table');
    return new SymbolTable(table);
  }

  /**
   * What `save` has written under this key, 32 bytes. Null where there is none; a file that others can write to, that is
   * damaged, or that is of another key or version is removed.
   */
  static open(path: string, key: Uint8Array): SymbolTable | null {
    const table = symbolTables.openSymbolTable(path, key);
    return table === undefined ? null : new SymbolTable(table);
  }

  /** Writes what `of` was given to a new file. Throws `SYMBOLS_UNKEPT`. */
  save(path: string, key: Uint8Array): void {
    native(() => symbolTables.saveSymbolTable(this.#table, path, key));
  }

  /** Index of the function that holds the byte at an address, -1 for none; or `TABLE_GONE`. */
  indexAt(address: number): number {
    return functionIndexAt(this.#table, address);
  }

  /** Where a function begins. */
  addressOf(index: number): number {
    return functionAddress(this.#table, index);
  }

  /** Mangled, without a version; "name@plt" for a stub; null where the file doesn't name the function. */
  rawName(index: number): string | null {
    return functionName(this.#table, index);
  }

  /** That of the function at an address; undefined where the table is gone. */
  rawNameAt(address: number): string | null | undefined {
    return functionNameAt(this.#table, address);
  }
}
