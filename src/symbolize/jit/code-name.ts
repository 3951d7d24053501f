import type { Language } from '../frame.js';
import { displayText } from '../symbols.js';

/** What an engine's name for a piece of code says. */
export interface CodeName {
  language: Language;
  function: string;
  file: string | null;
  line: number | null;
}

/** The code of a file or of an eval outside of all functions. */
const TOP_LEVEL = '(top level)';
const ANONYMOUS = '(anonymous)';

/** V8's kinds of code that was compiled from a script, and its mark of the tier: ~ interpreted, ^ + * compiled. */
const SCRIPT_CODE = /^(?:JS|LazyCompile|Function|Script|Eval|Callback|Wasm):[~^+*']?/;
const TOP_LEVEL_CODE = /^(?:Script|Eval):/;
/** Where a script's name begins, if it can hold spaces: a name alone ends at its last space. */
const SCRIPT_START = /(?:^| )(?=(?:file:\/\/|node:|https?:\/\/|data:|blob:|\/|\[eval|evalmachine\.))/;

/** The descriptor of a class, and a method: `Ljava/util/HashMap;::put`, or jitdump's `Ljava/util/HashMap;put(…)V`. */
const JAVA_DESCRIPTOR = /^L([\w$/.-]+);(?:::|\.)?([\w$<>]+)/;
/** As the JVM writes it: `java.lang.Object java.util.HashMap.put(java.lang.Object, java.lang.Object)`. */
const JAVA_SIGNATURE = /^[\w.$[\]]+ ((?:[\w$]+[./])*[\w$/+]+)\.([\w$<>]+)\([^()]*\)/;
/** A package, a class, a method: `java.util.HashMap.put`, `java/util/HashMap.put`, `java.util.HashMap::put`. */
const JAVA_DOTTED = /^((?:[a-z_][\w$]*[./])+[A-Z][\w$]*)(?:\.|::)([\w$<>]+)(?:\([^()]*\)\S*)?$/;
/** perf-map-agent's source position, behind the name. */
const JAVA_SOURCE = /\(([\w$]+\.(?:java|kt|scala|groovy|clj)):(\d+)\)$/;

/** Reads a name as engines write them into perf maps and jitdump files; what is no known form stays as it is. */
export function readCodeName(raw: string): CodeName {
  return javaScript(raw) ?? python(raw) ?? java(raw) ?? named('native', raw.replace(/@plt$/, ''));
}

function javaScript(raw: string): CodeName | null {
  if (raw.startsWith('RegExp:')) return named('javascript', raw);
  const prefix = SCRIPT_CODE.exec(raw)?.[0];
  if (prefix === undefined) return null;
  const rest = raw.slice(prefix.length);
  const [, text = rest, line] = /^(.*?)(?::(\d+):\d+)?$/s.exec(rest) ?? [];
  const at = line === undefined ? text.length : scriptStart(text);
  const name = text.slice(0, at).trim();
  const script = text.slice(at).trim();
  const isTopLevel = TOP_LEVEL_CODE.test(raw) || (name === '' && /:1:1$/.test(rest));
  return named('javascript', isTopLevel ? TOP_LEVEL : name || ANONYMOUS, pathOf(script), line);
}

function scriptStart(text: string): number {
  const start = SCRIPT_START.exec(text)?.index;
  return start ?? Math.max(0, text.lastIndexOf(' '));
}

/** `file:///a%20b.js` → `/a b.js`. */
function pathOf(script: string): string | null {
  if (!script.startsWith('file:///')) return script || null;
  try {
    return decodeURIComponent(script.slice('file://'.length));
  } catch {
    return script;
  }
}

/** `py::Worker.run:/srv/app.py`. */
function python(raw: string): CodeName | null {
  if (!raw.startsWith('py::')) return null;
  const rest = raw.slice('py::'.length);
  // The file's name may hold a colon, the function's can't.
  const colon = rest.indexOf(':');
  return colon < 0 ? named('python', rest) : named('python', rest.slice(0, colon), rest.slice(colon + 1));
}

function java(raw: string): CodeName | null {
  const match = JAVA_DESCRIPTOR.exec(raw) ?? JAVA_SIGNATURE.exec(raw) ?? JAVA_DOTTED.exec(raw);
  if (match === null) return null;
  const [, type = '', method = ''] = match;
  const [, file, line] = JAVA_SOURCE.exec(raw) ?? [];
  return named('java', `${type.replaceAll('/', '.')}.${method}`, file, line);
}

function named(language: Language, name: string, file?: string | null, line?: string): CodeName {
  const number = Number(line);
  return {
    language,
    function: displayText(name),
    file: file ? displayText(file) : null,
    line: Number.isSafeInteger(number) && number > 0 ? number : null,
  };
}
