/** Each back reference may stand for all before it, so that a short name can stand for gigabytes. */
const LONGEST_RESULT = 16384;
const MOST_STEPS = 20_000;
const DEEPEST = 128;

const BASIC_TYPES: Record<string, string> = {
  a: 'char',
  b: 'bool',
  c: 'creal',
  d: 'double',
  e: 'real',
  f: 'float',
  g: 'byte',
  h: 'ubyte',
  i: 'int',
  j: 'ireal',
  k: 'uint',
  l: 'long',
  m: 'ulong',
  n: 'typeof(null)',
  o: 'ifloat',
  p: 'idouble',
  q: 'cfloat',
  r: 'cdouble',
  s: 'short',
  t: 'ushort',
  u: 'wchar',
  v: 'void',
  w: 'dchar',
};
const SPECIAL_NAMES = new Map([
  ['__ctor', 'this'],
  ['__dtor', '~this'],
  ['__postblit', 'this(this)'],
]);
const LINKAGES: Record<string, string> = {
  F: '',
  U: 'extern(C) ',
  W: 'extern(Windows) ',
  R: 'extern(C++) ',
  Y: 'extern(Objective-C) ',
};
const INTEGER_SUFFIXES: Record<string, string> = { h: 'u', t: 'u', k: 'u', l: 'L', m: 'uL' };

class Unreadable extends Error {}

/**
 * The source form of a mangled D name, with template arguments and without parameters: `std.stdio.writeln!(string).writeln`
 * with `string` spelt `immutable(char)[]`. Null for names that aren't mangled so.
 */
export function demangleD(rawName: string): string | null {
  if (rawName === '_Dmain') return 'D main';
  if (!/^_D(?:\d|Q|__[TU])/.test(rawName)) return null;
  try {
    return new Reader(rawName).mangledName();
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** Reads from left to right; positions count from the name's beginning, as back references do. */
class Reader {
  #at = 2;
  #steps = 0;
  #depth = 0;

  constructor(private readonly text: string) {}

  mangledName(): string {
    const name = this.#qualifiedName(true);
    const rest = this.text.slice(this.#at);
    // What is no function has no type that matters; a compiler's copy has a mark behind it.
    if (rest !== '' && rest !== 'Z' && !rest.startsWith('.')) this.#type();
    const isWhole = this.#at === this.text.length || /^Z?(?:\.\w+)*$/.test(this.text.slice(this.#at));
    if (!isWhole) throw new Unreadable();
    return name;
  }

  #qualifiedName(hasOwnType: boolean): string {
    const parts: string[] = [];
    do {
      // Unnamed scopes have an empty name.
      while (this.#peek() === '0') this.#at++;
      parts.push(this.#symbolName());
      this.#skipFunctionType(hasOwnType);
    } while (this.#isSymbolName());
    return this.#checked(parts.filter((part) => part !== '').join('.'));
  }

  /** A function within a function: between their names stands the outer one's type, without what it returns. */
  #skipFunctionType(hasOwnType: boolean): void {
    const start = this.#at;
    const isMethod = this.#peek() === 'M';
    if (isMethod) this.#at++;
    if (this.#peek() === undefined || !(isMethod || this.#peek()! in LINKAGES)) return;
    try {
      if (isMethod) this.#modifiers();
      this.#functionType(false);
      // Only what goes on with a name was an outer function's; else it is the type of the whole.
      if (this.#isSymbolName()) return;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    this.#at = start;
    if (!hasOwnType) return;
    if (isMethod) {
      this.#at++;
      this.#modifiers();
    }
  }

  #isSymbolName(): boolean {
    const next = this.#peek();
    if (next === undefined) return false;
    if (/\d/.test(next) || this.text.startsWith('__T', this.#at) || this.text.startsWith('__U', this.#at))
      return true;
    if (next !== 'Q') return false;
    // A back reference leads to a type or to a name; names begin with their length.
    const start = this.#at;
    const target = this.#backReference();
    this.#at = start;
    return /\d/.test(this.text[target] ?? '');
  }

  #symbolName(): string {
    if (this.#peek() === 'Q') {
      const target = this.#backReference();
      return this.#from(target, () => this.#sourceName());
    }
    if (this.text.startsWith('__T', this.#at) || this.text.startsWith('__U', this.#at)) {
      return this.#templateInstance();
    }
    return this.#sourceName();
  }

  #sourceName(): string {
    const length = this.#number();
    const end = this.#at + length;
    if (length === 0 || end > this.text.length) throw new Unreadable();
    // Older compilers put the length of a template instance before it.
    if (this.text.startsWith('__T', this.#at) || this.text.startsWith('__U', this.#at)) {
      const instance = this.#templateInstance();
      if (this.#at !== end) throw new Unreadable();
      return instance;
    }
    const name = this.text.slice(this.#at, end);
    this.#at = end;
    // Scopes that the compiler numbers.
    if (/^__S\d+$/.test(name)) return '';
    return SPECIAL_NAMES.get(name) ?? name;
  }

  #templateInstance(): string {
    this.#at += 3;
    const name = this.#symbolName();
    const args: string[] = [];
    while (!this.#take('Z')) {
      this.#take('H');
      args.push(this.#templateArgument());
    }
    return this.#checked(`${name}!(${args.join(', ')})`);
  }

  #templateArgument(): string {
    switch (this.#next()) {
      case 'T':
        return this.#type();
      case 'V': {
        let kind = this.#peek();
        if (kind === 'Q') {
          const start = this.#at;
          kind = this.text[this.#backReference()];
          this.#at = start;
        }
        const type = this.#type();
        return this.#value(kind ?? '', type);
      }
      case 'S':
        return this.text.startsWith('_D', this.#at) ? this.#mangledSymbol() : this.#symbolArgument();
      case 'X': {
        const length = this.#number();
        const name = this.text.slice(this.#at, this.#at + length);
        this.#at += length;
        return name;
      }
      default:
        throw new Unreadable();
    }
  }

  #mangledSymbol(): string {
    this.#at += 2;
    const name = this.#qualifiedName(true);
    if (!this.#take('Z')) this.#type();
    return name;
  }

  /** Older compilers put the length of the whole symbol before it, so that digits run together. */
  #symbolArgument(): string {
    const start = this.#at;
    try {
      const length = this.#number();
      const end = this.#at + length;
      if (this.text.startsWith('_D', this.#at)) {
        const name = this.#mangledSymbol();
        if (this.#at === end) return name;
      }
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    this.#at = start;
    return this.#qualifiedName(false);
  }

  #type(): string {
    return this.#nested(() => {
      const code = this.#next();
      const basic = BASIC_TYPES[code];
      if (basic !== undefined) return basic;
      switch (code) {
        case 'O':
          return `shared(${this.#type()})`;
        case 'x':
          return `const(${this.#type()})`;
        case 'y':
          return `immutable(${this.#type()})`;
        case 'N':
          return this.#extendedType();
        case 'A':
          return `${this.#type()}[]`;
        case 'G': {
          const length = this.#digits();
          return `${this.#type()}[${length}]`;
        }
        case 'H': {
          const key = this.#type();
          return `${this.#type()}[${key}]`;
        }
        case 'P':
          if (this.#peek() !== undefined && this.#peek()! in LINKAGES)
            return this.#functionType(true, 'function');
          return `${this.#type()}*`;
        case 'D': {
          const modifiers = this.#modifiers();
          if (this.#peek() === 'Q') {
            const target = this.#backReference();
            return this.#from(target, () => this.#functionType(true, 'delegate')) + modifiers;
          }
          return this.#functionType(true, 'delegate') + modifiers;
        }
        case 'C':
        case 'S':
        case 'E':
        case 'T':
        case 'I':
          return this.#qualifiedName(false);
        case 'B': {
          const count = this.#number();
          const types: string[] = [];
          for (let i = 0; i < count; i++) types.push(this.#type());
          return `tuple(${types.join(', ')})`;
        }
        case 'Q': {
          this.#at--;
          const target = this.#backReference();
          return this.#from(target, () => this.#type());
        }
        case 'z':
          return this.#next() === 'i' ? 'cent' : 'ucent';
        default:
          if (!(code in LINKAGES)) throw new Unreadable();
          this.#at--;
          return this.#functionType(true, '');
      }
    });
  }

  #extendedType(): string {
    switch (this.#next()) {
      case 'g':
        return `inout(${this.#type()})`;
      case 'h':
        return `__vector(${this.#type()})`;
      case 'n':
        return 'noreturn';
      default:
        throw new Unreadable();
    }
  }

  /** const, immutable, shared and inout of a method or a delegate. */
  #modifiers(): string {
    let modifiers = '';
    for (;;) {
      if (this.#take('x')) modifiers += ' const';
      else if (this.#take('y')) modifiers += ' immutable';
      else if (this.#take('O')) modifiers += ' shared';
      else if (this.text.startsWith('Ng', this.#at)) {
        this.#at += 2;
        modifiers += ' inout';
      } else return modifiers;
    }
  }

  #functionType(hasReturn: boolean, keyword = ''): string {
    const linkage = LINKAGES[this.#next()];
    if (linkage === undefined) throw new Unreadable();
    const attributes = this.#attributes();
    const parameters = this.#parameters();
    const result = hasReturn ? this.#type() : '';
    const suffix = `${attributes}${keyword}`.trim();
    return this.#checked(`${linkage}${result}(${parameters})${suffix === '' ? '' : ` ${suffix}`}`);
  }

  #attributes(): string {
    const known: Record<string, string> = {
      a: 'pure ',
      b: 'nothrow ',
      c: 'ref ',
      d: '@property ',
      e: '@trusted ',
      f: '@safe ',
      i: '@nogc ',
      j: 'return ',
      l: 'scope ',
      m: '@live ',
    };
    let attributes = '';
    while (this.#peek() === 'N') {
      const attribute = known[this.text[this.#at + 1] ?? ''];
      if (attribute === undefined) break;
      this.#at += 2;
      attributes += attribute;
    }
    return attributes;
  }

  #parameters(): string {
    const parameters: string[] = [];
    for (;;) {
      if (this.#take('X')) return this.#checked(`${parameters.join(', ')}...`);
      if (this.#take('Y')) return this.#checked([...parameters, '...'].join(', '));
      if (this.#take('Z')) return this.#checked(parameters.join(', '));
      let storage = '';
      for (;;) {
        if (this.#take('M')) storage += 'scope ';
        else if (this.text.startsWith('Nk', this.#at)) {
          this.#at += 2;
          storage += 'return ';
        } else break;
      }
      if (this.#take('I')) storage += 'in ';
      if (this.#take('J')) storage += 'out ';
      else if (this.#take('K')) storage += 'ref ';
      else if (this.#take('L')) storage += 'lazy ';
      parameters.push(storage + this.#type());
    }
  }

  #value(kind: string, type: string): string {
    return this.#nested(() => {
      const code = this.#peek();
      if (code === undefined) throw new Unreadable();
      if (/\d/.test(code)) return integer(this.#digits(), kind);
      this.#at++;
      switch (code) {
        case 'n':
          return 'null';
        case 'N':
          return `-${integer(this.#digits(), kind)}`;
        case 'i':
          return integer(this.#digits(), kind);
        case 'e':
          return this.#real();
        case 'c': {
          const real = this.#real();
          if (!this.#take('c')) throw new Unreadable();
          return `${real}+${this.#real()}i`;
        }
        case 'a':
        case 'w':
        case 'd':
          return this.#string(code);
        case 'A': {
          const count = this.#number();
          const values: string[] = [];
          const isMap = kind === 'H';
          for (let i = 0; i < count; i++) {
            const key = isMap ? `${this.#value('', '')}:` : '';
            values.push(key + this.#value('', ''));
          }
          return `[${values.join(', ')}]`;
        }
        case 'S': {
          const count = this.#number();
          const values: string[] = [];
          for (let i = 0; i < count; i++) values.push(this.#value('', ''));
          return `${type}(${values.join(', ')})`;
        }
        case 'f':
          if (!this.text.startsWith('_D', this.#at)) throw new Unreadable();
          return this.#mangledSymbol();
        default:
          throw new Unreadable();
      }
    });
  }

  #real(): string {
    const match = /NAN|N?INF|N?[0-9A-F]+PN?\d+/y;
    match.lastIndex = this.#at;
    const found = match.exec(this.text)?.[0];
    if (found === undefined) throw new Unreadable();
    this.#at += found.length;
    if (found === 'NAN') return 'NaN';
    if (found.endsWith('INF')) return found.startsWith('N') ? '-Inf' : 'Inf';
    const sign = found.startsWith('N') ? '-' : '';
    const [digits = '', exponent = ''] = found.replace(/^N/, '').split('P');
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}0x${digits[0]}${fraction}p${exponent.replace('N', '-')}`;
  }

  #string(code: string): string {
    const length = this.#number();
    const end = this.#at + 1 + 2 * length;
    if (!this.#take('_') || end > this.text.length) throw new Unreadable();
    const bytes = Buffer.from(this.text.slice(this.#at, end), 'hex');
    this.#at = end;
    return this.#checked(`"${bytes.toString('utf8')}"${code === 'a' ? '' : code}`);
  }

  /** Where a back reference leads; it stands behind that. */
  #backReference(): number {
    const start = this.#at++;
    let distance = 0;
    for (;;) {
      const code = this.#next();
      const isLast = code >= 'a' && code <= 'z';
      if (!isLast && !(code >= 'A' && code <= 'Z')) throw new Unreadable();
      distance = distance * 26 + code.charCodeAt(0) - (isLast ? 97 : 65);
      if (isLast) break;
    }
    if (distance === 0 || distance > start) throw new Unreadable();
    return start - distance;
  }

  #from(target: number, read: () => string): string {
    const back = this.#at;
    this.#at = target;
    const result = this.#nested(read);
    this.#at = back;
    return result;
  }

  #nested(read: () => string): string {
    if (++this.#depth > DEEPEST || ++this.#steps > MOST_STEPS) throw new Unreadable();
    const result = this.#checked(read());
    this.#depth--;
    return result;
  }

  #checked(result: string): string {
    if (result.length > LONGEST_RESULT) throw new Unreadable();
    return result;
  }

  #number(): number {
    const value = Number(this.#digits());
    if (!(value <= this.text.length)) throw new Unreadable();
    return value;
  }

  #digits(): string {
    const start = this.#at;
    while (/\d/.test(this.#peek() ?? '')) this.#at++;
    if (this.#at === start) throw new Unreadable();
    return this.text.slice(start, this.#at);
  }

  #take(code: string): boolean {
    if (this.#peek() !== code) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const code = this.#peek();
    if (code === undefined) throw new Unreadable();
    this.#at++;
    return code;
  }

  #peek(): string | undefined {
    return this.text[this.#at];
  }
}

function integer(digits: string, kind: string): string {
  if (kind === 'b') return digits === '0' ? 'false' : 'true';
  if ('auw'.includes(kind) && kind !== '') {
    const code = Number(digits);
    if (code >= 0x20 && code < 0x7f) return `'${String.fromCharCode(code)}'`;
    const width = kind === 'a' ? 2 : kind === 'u' ? 4 : 8;
    const letter = kind === 'a' ? 'x' : kind === 'u' ? 'u' : 'U';
    return `'\\${letter}${code.toString(16).padStart(width, '0')}'`;
  }
  return digits + (INTEGER_SUFFIXES[kind] ?? '');
}
