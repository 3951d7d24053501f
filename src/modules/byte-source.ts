/** Where the bytes of an ELF file come from: the file itself, or what a process has mapped of it. */
export interface ByteSource {
  /** For messages. */
  readonly path: string;
  readonly bytes: number;
  /** A path by which another process of this user opens this very file; null where there is no file. */
  readonly sharedPath: string | null;
  /** 0 where there is no file. */
  readonly inode: number;
  /** Equal for two openings of the same unchanged bytes. */
  readonly identity: string;
  /** How far above the file's own addresses the loader has put those in the dynamic section; 0 in a file. */
  readonly bias: number;
  /** `length` bytes from `offset`; throws `ElfError` where there are none. */
  read(offset: number, length: number): Buffer;
  /** As `read`, but no more than there are. */
  readUpTo(offset: number, length: number): Buffer;
  /** Gives up what is held open; reading goes on to work. */
  park(): void;
}
