import { ElfError } from '../modules/bounded-file.js';
import { BytesSource } from '../modules/bytes-source.js';
import { ElfFile } from '../modules/elf.js';
import { SHT_NOBITS } from '../modules/elf-sections.js';
import { decompressXz } from './xz.js';

const MOST_COMPRESSED_BYTES = 32 << 20;

/**
 * The ELF file in .gnu_debugdata, where some distributions keep the symbols of functions that strip removes; null
 * where there is none or it makes no sense, as the file's other tables do without it.
 */
export function miniDebugInfo(elf: ElfFile): ElfFile | null {
  const section = elf.section('.gnu_debugdata');
  if (section === undefined || section.type === SHT_NOBITS || section.bytes > MOST_COMPRESSED_BYTES)
    return null;
  const { path, identity } = elf.file;
  try {
    const bytes = decompressXz(elf.file.read(section.offset, section.bytes), path);
    return new ElfFile(new BytesSource(bytes, path, `${identity}:debugdata`));
  } catch (error) {
    if (error instanceof ElfError && error.code !== 'elf/replaced') return null;
    throw error;
  }
}
