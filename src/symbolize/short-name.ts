/** What people read in one line. */
const LONGEST_LINE = 160;
const LONGEST_NAME = 1024;
const OPERATOR = /operator(?:\(\)|\[\]|<=>|<<=|>>=|->\*|<<|>>|->|&&|\|\||\+\+|--|[-+*/%^&|]=?|[<>=!]=?|~|,)/y;
const AFTER_PARAMETERS = /(?: (?:const|volatile|noexcept|restrict)|\s?&&?)*/y;
const ANONYMOUS = '(anonymous namespace)';
const CLONE = ' [clone ';
/** The entry of a virtual function by way of another base class: to its callers it is the function. */
const THUNK = /^\{virtual override thunk\(\{.*?\}, (.*)\)\}$/s;

/**
 * A function's demangled C++ name as people say it: without parameters, qualifiers and clone marks, but with all of its
 * template arguments. A name that can't be read so comes back whole.
 */
export function shortCppName(name: string): string {
  const thunked = THUNK.exec(name)?.[1];
  if (thunked !== undefined) return shortCppName(thunked);
  // An empty pack of template arguments leaves its comma behind.
  const parts = split(name.replaceAll('<, ', '<').replaceAll(', >', '>'));
  return parts?.map(({ text }) => text).join('') || name;
}

/** A function's name without the template arguments that make it too long for a line; `Foo<…>::bar`, `foo!(…).bar`. */
export function lineName(name: string): string {
  if (name.length <= LONGEST_LINE) return name;
  const parts = split(name) ?? [{ text: name, isTemplate: false }];
  let line = '';
  for (const { text, isTemplate } of parts) {
    // Angle brackets that follow no name are no arguments: <T as Trait>::f.
    if (!isTemplate) line += text;
    else if (text.startsWith('(')) line += '(…)';
    else line += /[\w:>)]$|operator\W+$/.test(line) ? '<…>' : text;
  }
  return line.length <= LONGEST_NAME ? line : `${line.slice(0, LONGEST_NAME - 1)}…`;
}

/** A C name without the marks of the compiler's copies (.cold, .part.0, .constprop.0), which are one function. */
export function shortCName(name: string): string {
  return name.replace(/(?:\.(?:cold|part|isra|constprop|lto_priv|llvm|localalias)(?:\.\d+)*)+$/, '') || name;
}

interface Part {
  text: string;
  isTemplate: boolean;
}

function split(name: string): Part[] | null {
  const parts: Part[] = [];
  let text = '';
  for (let at = 0; at < name.length; ) {
    const char = name[at]!;
    if (char === 'o' && !/\w/.test(name[at - 1] ?? '')) {
      OPERATOR.lastIndex = at;
      const operator = OPERATOR.exec(name)?.[0];
      if (operator !== undefined) {
        text += operator;
        at += operator.length;
        continue;
      }
    }
    if (name.startsWith(ANONYMOUS, at)) {
      text += ANONYMOUS;
      at += ANONYMOUS.length;
    } else if (char === '(' && name[at - 1] === '!') {
      // D's template arguments.
      const end = closing(name, at);
      if (end === null) return null;
      parts.push({ text, isTemplate: false });
      text = '';
      parts.push({ text: name.slice(at, end), isTemplate: true });
      at = end;
    } else if (char === '(') {
      const end = closing(name, at);
      if (end === null) return null;
      AFTER_PARAMETERS.lastIndex = end;
      at = end + AFTER_PARAMETERS.exec(name)![0].length;
    } else if (char === '<' || char === '{') {
      const end = closing(name, at);
      if (end === null) return null;
      if (text !== '') parts.push({ text, isTemplate: false });
      text = '';
      parts.push({ text: name.slice(at, end), isTemplate: char === '<' });
      at = end;
    } else if (name.startsWith(CLONE, at)) {
      break;
    } else {
      text += char;
      at++;
    }
  }
  if (text !== '') parts.push({ text, isTemplate: false });
  return parts;
}

/** One past the bracket that closes the one at `start`; null where there is none. */
function closing(name: string, start: number): number | null {
  const open: string[] = [];
  for (let at = start; at < name.length; at++) {
    const char = name[at]!;
    if (char === '(' || char === '{' || char === '[') open.push(char);
    else if (char === '<') {
      if (!/operator<?$/.test(name.slice(Math.max(0, at - 9), at))) open.push(char);
    } else if (char === '>') {
      // An arrow, and a comparison within an expression's parentheses, close nothing.
      if (open.at(-1) === '<' && name[at - 1] !== '-') open.pop();
    } else if (char === ')' || char === '}' || char === ']') {
      // A comparison may have left its bracket open.
      while (open.length > 0 && open.at(-1) === '<') open.pop();
      open.pop();
    }
    if (open.length === 0) return at + 1;
  }
  return null;
}
