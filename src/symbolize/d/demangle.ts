import { Unreadable } from './cursor.js';
import { LINKAGES } from './types.js';
import { ValueReader } from './values.js';

const SPECIAL_NAMES = new Map([
  ['__ctor', 'this'],
  ['__dtor', '~this'],
  ['__postblit', 'this(this)'],
]);

/**
 * The source form of a mangled D name, with template arguments and without parameters: `std.stdio.writeln!(string).writeln`
 * with `string` spelt `immutable(char)[]`. Null for names that aren't mangled so.
 */
export function demangleD(rawName: string): string | null {
  if (rawName === '_Dmain') return 'D main';
  if (!/^_D(?:\d|Q|__[TU])/.test(rawName)) return null;
  try {
    return new NameReader(rawName).mangledName();
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** Reads names of symbols, from left to right, templates and their arguments among them. */
class NameReader extends ValueReader {
  mangledName(): string {
    const name = this.qualifiedName(true);
    const rest = this.text.slice(this.at);
    // What is no function has no type that matters; a compiler's copy has a mark behind it.
    if (rest !== '' && rest !== 'Z' && !rest.startsWith('.')) this.type();
    const isWhole = this.at === this.text.length || /^Z?(?:\.\w+)*$/.test(this.text.slice(this.at));
    if (!isWhole) throw new Unreadable();
    return name;
  }

  protected qualifiedName(hasOwnType: boolean): string {
    const parts: string[] = [];
    do {
      // Unnamed scopes have an empty name.
      while (this.peek() === '0') this.at++;
      parts.push(this.#symbolName());
      this.#skipFunctionType(hasOwnType);
    } while (this.#isSymbolName());
    return this.checked(parts.filter((part) => part !== '').join('.'));
  }

  /** A function within a function: between their names stands the outer one's type, without what it returns. */
  #skipFunctionType(hasOwnType: boolean): void {
    const start = this.at;
    const isMethod = this.peek() === 'M';
    if (isMethod) this.at++;
    if (this.peek() === undefined || !(isMethod || this.peek()! in LINKAGES)) return;
    try {
      if (isMethod) this.modifiers();
      this.functionType(false);
      // Only what goes on with a name was an outer function's; else it is the type of the whole.
      if (this.#isSymbolName()) return;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    this.at = start;
    if (!hasOwnType) return;
    if (isMethod) {
      this.at++;
      this.modifiers();
    }
  }

  #isSymbolName(): boolean {
    const next = this.peek();
    if (next === undefined) return false;
    if (/\d/.test(next) || this.text.startsWith('__T', this.at) || this.text.startsWith('__U', this.at))
      return true;
    if (next !== 'Q') return false;
    // A back reference leads to a type or to a name; names begin with their length.
    const start = this.at;
    const target = this.backReference();
    this.at = start;
    return /\d/.test(this.text[target] ?? '');
  }

  #symbolName(): string {
    if (this.peek() === 'Q') {
      const target = this.backReference();
      return this.from(target, () => this.#sourceName());
    }
    if (this.text.startsWith('__T', this.at) || this.text.startsWith('__U', this.at)) {
      return this.#templateInstance();
    }
    return this.#sourceName();
  }

  #sourceName(): string {
    const length = this.number();
    const end = this.at + length;
    if (length === 0 || end > this.text.length) throw new Unreadable();
    // Older compilers put the length of a template instance before it.
    if (this.text.startsWith('__T', this.at) || this.text.startsWith('__U', this.at)) {
      const instance = this.#templateInstance();
      if (this.at !== end) throw new Unreadable();
      return instance;
    }
    const name = this.text.slice(this.at, end);
    this.at = end;
    // Scopes that the compiler numbers.
    if (/^__S\d+$/.test(name)) return '';
    return SPECIAL_NAMES.get(name) ?? name;
  }

  #templateInstance(): string {
    this.at += 3;
    const name = this.#symbolName();
    const args: string[] = [];
    while (!this.take('Z')) {
      this.take('H');
      args.push(this.#templateArgument());
    }
    return this.checked(`${name}!(${args.join(', ')})`);
  }

  #templateArgument(): string {
    switch (this.next()) {
      case 'T':
        return this.type();
      case 'V': {
        let kind = this.peek();
        if (kind === 'Q') {
          const start = this.at;
          kind = this.text[this.backReference()];
          this.at = start;
        }
        const type = this.type();
        return this.value(kind ?? '', type);
      }
      case 'S':
        return this.text.startsWith('_D', this.at) ? this.mangledSymbol() : this.#symbolArgument();
      case 'X': {
        const length = this.number();
        const name = this.text.slice(this.at, this.at + length);
        this.at += length;
        return name;
      }
      default:
        throw new Unreadable();
    }
  }

  protected mangledSymbol(): string {
    this.at += 2;
    const name = this.qualifiedName(true);
    if (!this.take('Z')) this.type();
    return name;
  }

  /** Older compilers put the length of the whole symbol before it, so that digits run together. */
  #symbolArgument(): string {
    const start = this.at;
    try {
      const length = this.number();
      const end = this.at + length;
      if (this.text.startsWith('_D', this.at)) {
        const name = this.mangledSymbol();
        if (this.at === end) return name;
      }
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    this.at = start;
    return this.qualifiedName(false);
  }
}
