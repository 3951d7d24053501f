/**
 * Where the jump goes that stands at the beginning of code, as hookers write it over what was there; null where none
 * that is known stands there. `readPointer` reads 8 bytes of the target's memory.
 */
export function jumpTarget(
  code: Buffer,
  address: number,
  readPointer: (address: number) => number | null,
): number | null {
  // endbr64 may stand before it.
  const at = code.length >= 4 && code.readUInt32BE(0) === 0xf30f1efa ? 4 : 0;
  if (code.length < at + 14) return null;
  const absolute = (offset: number) => Number(code.readBigUInt64LE(at + offset));
  if (code[at] === 0xe9) return address + at + 5 + code.readInt32LE(at + 1);
  if (code[at] === 0xff && code[at + 1] === 0x25) {
    return readPointer(address + at + 6 + code.readInt32LE(at + 2));
  }
  // movabs $imm64, %r11; jmp *%r11, and the same by %rax.
  if (code.readUInt16BE(at) === 0x49bb && code.readUIntBE(at + 10, 3) === 0x41ffe3) return absolute(2);
  if (code.readUInt16BE(at) === 0x48b8 && code.readUInt16BE(at + 10) === 0xffe0) return absolute(2);
  // push $low; movl $high, 4(%rsp); ret
  if (code[at] === 0x68 && code.readUInt32BE(at + 5) === 0xc7442404 && code[at + 13] === 0xc3) {
    return code.readUInt32LE(at + 9) * 2 ** 32 + code.readUInt32LE(at + 1);
  }
  return null;
}
