import type { Session } from '../session/session.js';
import { OffheapError } from '../wire/error.js';
import { inspectForPeople } from './inspect.js';
import { replContext } from './repl-context.js';

export interface EvaluateOptions {
  json: boolean;
  colors: boolean;
  columns: number;
}

type AsyncFunction = (...values: unknown[]) => Promise<unknown>;
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...source: string[]
) => AsyncFunction;

/** The value of one expression over the REPL's names; `await` may stand in it. */
export async function evaluate(
  expression: string,
  session: Session,
  processes: () => Session[],
  options: EvaluateOptions,
): Promise<string> {
  const context = replContext(session, processes);
  let compiled: AsyncFunction;
  try {
    // The line break ends a comment that the expression may end with.
    compiled = new AsyncFunction(
      ...Object.keys(context),
      `'use strict'; return (${expression.replace(/[;\s]+$/, '')}\n);`,
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OffheapError('BAD_EXPRESSION', `not a JavaScript expression: ${reason}; see offheap repl`);
  }
  let value: unknown;
  try {
    value = await compiled(...Object.values(context));
  } catch (error) {
    if (error instanceof OffheapError) throw error;
    throw new OffheapError('EVALUATION_FAILED', `the expression threw ${String(error)}; see offheap repl`);
  }
  return options.json ? toJson(value) : inspectForPeople(value, options);
}

function toJson(value: unknown): string {
  try {
    // undefined, functions and symbols have no JSON.
    return JSON.stringify(value, (_, entry) => (typeof entry === 'bigint' ? String(entry) : entry)) ?? 'null';
  } catch (error) {
    throw new OffheapError('NOT_JSON', `the value has no JSON form: ${String(error)}; leave --json out`);
  }
}
