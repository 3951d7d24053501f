/**
 * A failure that offheap foresees. `code` is stable and for programs; `message` is one line for people:
 * what happened; what to do.
 */
export class OffheapError extends Error {
  override readonly name = 'OffheapError';

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
