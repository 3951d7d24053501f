import { Unreadable } from './cursor.js';
import { TypeReader } from './types.js';

const INTEGER_SUFFIXES: Record<string, string> = { h: 'u', t: 'u', k: 'u', l: 'L', m: 'uL' };

/** Reads the values that stand among template arguments. */
export abstract class ValueReader extends TypeReader {
  protected abstract mangledSymbol(): string;

  protected value(kind: string, type: string): string {
    return this.nested(() => {
      const code = this.peek();
      if (code === undefined) throw new Unreadable();
      if (/\d/.test(code)) return integer(this.digits(), kind);
      this.at++;
      switch (code) {
        case 'n':
          return 'null';
        case 'N':
          return `-${integer(this.digits(), kind)}`;
        case 'i':
          return integer(this.digits(), kind);
        case 'e':
          return this.#real();
        case 'c': {
          const real = this.#real();
          if (!this.take('c')) throw new Unreadable();
          return `${real}+${this.#real()}i`;
        }
        case 'a':
        case 'w':
        case 'd':
          return this.#string(code);
        case 'A': {
          const count = this.number();
          const values: string[] = [];
          const isMap = kind === 'H';
          for (let i = 0; i < count; i++) {
            const key = isMap ? `${this.value('', '')}:` : '';
            values.push(key + this.value('', ''));
          }
          return `[${values.join(', ')}]`;
        }
        case 'S': {
          const count = this.number();
          const values: string[] = [];
          for (let i = 0; i < count; i++) values.push(this.value('', ''));
          return `${type}(${values.join(', ')})`;
        }
        case 'f':
          if (!this.text.startsWith('_D', this.at)) throw new Unreadable();
          return this.mangledSymbol();
        default:
          throw new Unreadable();
      }
    });
  }

  #real(): string {
    const match = /NAN|N?INF|N?[0-9A-F]+PN?\d+/y;
    match.lastIndex = this.at;
    const found = match.exec(this.text)?.[0];
    if (found === undefined) throw new Unreadable();
    this.at += found.length;
    if (found === 'NAN') return 'NaN';
    if (found.endsWith('INF')) return found.startsWith('N') ? '-Inf' : 'Inf';
    const sign = found.startsWith('N') ? '-' : '';
    const [digits = '', exponent = ''] = found.replace(/^N/, '').split('P');
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}0x${digits[0]}${fraction}p${exponent.replace('N', '-')}`;
  }

  #string(code: string): string {
    const length = this.number();
    const end = this.at + 1 + 2 * length;
    if (!this.take('_') || end > this.text.length) throw new Unreadable();
    const bytes = Buffer.from(this.text.slice(this.at, end), 'hex');
    this.at = end;
    return this.checked(`"${bytes.toString('utf8')}"${code === 'a' ? '' : code}`);
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
