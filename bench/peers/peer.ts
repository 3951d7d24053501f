/** A tool that watches a command's mappings. */
export interface Peer {
  name: string;
  note: string;
  /** Pairs per block: the slow ones would take minutes for what the fast ones do at once. */
  pairs: number;
  /** Why it can't run here, or null. */
  lacks(): string | null;
  /** The same command under the tool, whose files go to `folder`. */
  wrap(command: readonly string[], folder: string): { command: string[]; env?: Record<string, string> };
  /** Whether what it has written to `folder` shows this library on the stack of what is live. */
  names(library: string, folder: string): boolean;
}
