import { ElfError } from './bounded-file.js';
import type { ByteSource } from './byte-source.js';
import type { ElfSegment } from './elf-headers.js';

const NT_GNU_BUILD_ID = 3;
const MOST_NOTE_SEGMENTS = 16;
const MOST_NOTE_BYTES = 65536;
const MOST_BUILD_ID_BYTES = 64;

export interface ElfNotes {
  buildId: string | null;
  language: 'go' | null;
}

/** What the note segments say. Damaged notes end the reading of their segment: they matter to nothing else. */
export function readNotes(file: ByteSource, segments: readonly ElfSegment[]): ElfNotes {
  const notes: ElfNotes = { buildId: null, language: null };
  for (const segment of segments.slice(0, MOST_NOTE_SEGMENTS)) {
    let bytes: Buffer;
    try {
      bytes = file.readUpTo(segment.offset, Math.min(segment.fileBytes, MOST_NOTE_BYTES));
    } catch (error) {
      if (error instanceof ElfError) continue;
      throw error;
    }
    readNoteSegment(bytes, notes);
  }
  return notes;
}

function readNoteSegment(bytes: Buffer, notes: ElfNotes): void {
  // Entries are padded to 4 bytes, in .note.gnu.property's 8-byte segments too, as its one entry's size is a multiple.
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameBytes = bytes.readUInt32LE(at);
    const contentBytes = bytes.readUInt32LE(at + 4);
    const type = bytes.readUInt32LE(at + 8);
    const nameAt = at + 12;
    const contentAt = nameAt + Math.ceil(nameBytes / 4) * 4;
    at = contentAt + Math.ceil(contentBytes / 4) * 4;
    if (contentAt + contentBytes > bytes.length) return;
    const name = bytes.toString('latin1', nameAt, nameAt + Math.min(nameBytes, 16)).replace(/\0.*$/s, '');
    if (name === 'Go') notes.language = 'go';
    if (
      name === 'GNU' &&
      type === NT_GNU_BUILD_ID &&
      contentBytes > 0 &&
      contentBytes <= MOST_BUILD_ID_BYTES
    ) {
      notes.buildId ??= bytes.toString('hex', contentAt, contentAt + contentBytes);
    }
  }
}
