import { Cursor, Unreadable } from './cursor.js';

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
export const LINKAGES: Record<string, string> = {
  F: '',
  U: 'extern(C) ',
  W: 'extern(Windows) ',
  R: 'extern(C++) ',
  Y: 'extern(Objective-C) ',
};

/** Reads types, those of functions with their attributes among them. */
export abstract class TypeReader extends Cursor {
  protected abstract qualifiedName(hasOwnType: boolean): string;

  protected type(): string {
    return this.nested(() => {
      const code = this.next();
      const basic = BASIC_TYPES[code];
      if (basic !== undefined) return basic;
      switch (code) {
        case 'O':
          return `shared(${this.type()})`;
        case 'x':
          return `const(${this.type()})`;
        case 'y':
          return `immutable(${this.type()})`;
        case 'N':
          return this.#extendedType();
        case 'A':
          return `${this.type()}[]`;
        case 'G': {
          const length = this.digits();
          return `${this.type()}[${length}]`;
        }
        case 'H': {
          const key = this.type();
          return `${this.type()}[${key}]`;
        }
        case 'P':
          if (this.peek() !== undefined && this.peek()! in LINKAGES)
            return this.functionType(true, 'function');
          return `${this.type()}*`;
        case 'D': {
          const modifiers = this.modifiers();
          if (this.peek() === 'Q') {
            const target = this.backReference();
            return this.from(target, () => this.functionType(true, 'delegate')) + modifiers;
          }
          return this.functionType(true, 'delegate') + modifiers;
        }
        case 'C':
        case 'S':
        case 'E':
        case 'T':
        case 'I':
          return this.qualifiedName(false);
        case 'B': {
          const count = this.number();
          const types: string[] = [];
          for (let i = 0; i < count; i++) types.push(this.type());
          return `tuple(${types.join(', ')})`;
        }
        case 'Q': {
          this.at--;
          const target = this.backReference();
          return this.from(target, () => this.type());
        }
        case 'z':
          return this.next() === 'i' ? 'cent' : 'ucent';
        default:
          if (!(code in LINKAGES)) throw new Unreadable();
          this.at--;
          return this.functionType(true, '');
      }
    });
  }

  #extendedType(): string {
    switch (this.next()) {
      case 'g':
        return `inout(${this.type()})`;
      case 'h':
        return `__vector(${this.type()})`;
      case 'n':
        return 'noreturn';
      default:
        throw new Unreadable();
    }
  }

  /** const, immutable, shared and inout of a method or a delegate. */
  protected modifiers(): string {
    let modifiers = '';
    for (;;) {
      if (this.take('x')) modifiers += ' const';
      else if (this.take('y')) modifiers += ' immutable';
      else if (this.take('O')) modifiers += ' shared';
      else if (this.text.startsWith('Ng', this.at)) {
        this.at += 2;
        modifiers += ' inout';
      } else return modifiers;
    }
  }

  protected functionType(hasReturn: boolean, keyword = ''): string {
    const linkage = LINKAGES[this.next()];
    if (linkage === undefined) throw new Unreadable();
    const attributes = this.#attributes();
    const parameters = this.#parameters();
    const result = hasReturn ? this.type() : '';
    const suffix = `${attributes}${keyword}`.trim();
    return this.checked(`${linkage}${result}(${parameters})${suffix === '' ? '' : ` ${suffix}`}`);
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
    while (this.peek() === 'N') {
      const attribute = known[this.text[this.at + 1] ?? ''];
      if (attribute === undefined) break;
      this.at += 2;
      attributes += attribute;
    }
    return attributes;
  }

  #parameters(): string {
    const parameters: string[] = [];
    for (;;) {
      if (this.take('X')) return this.checked(`${parameters.join(', ')}...`);
      if (this.take('Y')) return this.checked([...parameters, '...'].join(', '));
      if (this.take('Z')) return this.checked(parameters.join(', '));
      let storage = '';
      for (;;) {
        if (this.take('M')) storage += 'scope ';
        else if (this.text.startsWith('Nk', this.at)) {
          this.at += 2;
          storage += 'return ';
        } else break;
      }
      if (this.take('I')) storage += 'in ';
      if (this.take('J')) storage += 'out ';
      else if (this.take('K')) storage += 'ref ';
      else if (this.take('L')) storage += 'lazy ';
      parameters.push(storage + this.type());
    }
  }
}
