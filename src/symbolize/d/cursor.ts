/** Each back reference may stand for all before it, so that a short name can stand for gigabytes. */
const LONGEST_RESULT = 16384;
const MOST_STEPS = 20_000;
const DEEPEST = 128;

/** What is read is no mangled name. */
export class Unreadable extends Error {}

/** A place in a mangled D name. Positions count from the name's beginning, as back references do. */
export class Cursor {
  protected at = 2;
  #steps = 0;
  #depth = 0;

  constructor(protected readonly text: string) {}

  /** Where a back reference leads; it stands behind that. */
  protected backReference(): number {
    const start = this.at++;
    let distance = 0;
    for (;;) {
      const code = this.next();
      const isLast = code >= 'a' && code <= 'z';
      if (!isLast && !(code >= 'A' && code <= 'Z')) throw new Unreadable();
      distance = distance * 26 + code.charCodeAt(0) - (isLast ? 97 : 65);
      if (isLast) break;
    }
    if (distance === 0 || distance > start) throw new Unreadable();
    return start - distance;
  }

  protected from(target: number, read: () => string): string {
    const back = this.at;
    this.at = target;
    const result = this.nested(read);
    this.at = back;
    return result;
  }

  protected nested(read: () => string): string {
    if (++this.#depth > DEEPEST || ++this.#steps > MOST_STEPS) throw new Unreadable();
    const result = this.checked(read());
    this.#depth--;
    return result;
  }

  protected checked(result: string): string {
    if (result.length > LONGEST_RESULT) throw new Unreadable();
    return result;
  }

  protected number(): number {
    const value = Number(this.digits());
    if (!(value <= this.text.length)) throw new Unreadable();
    return value;
  }

  protected digits(): string {
    const start = this.at;
    while (/\d/.test(this.peek() ?? '')) this.at++;
    if (this.at === start) throw new Unreadable();
    return this.text.slice(start, this.at);
  }

  protected take(code: string): boolean {
    if (this.peek() !== code) return false;
    this.at++;
    return true;
  }

  protected next(): string {
    const code = this.peek();
    if (code === undefined) throw new Unreadable();
    this.at++;
    return code;
  }

  protected peek(): string | undefined {
    return this.text[this.at];
  }
}
