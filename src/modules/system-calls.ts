/** A system-call instruction in x86-64 code. */
export interface SystemCallInstruction {
  /** Bytes from the code's beginning. */
  offset: number;
  /** What it asks the kernel for, where the code right before it says so; else null. */
  number: number | null;
}

const SYSCALL = Buffer.of(0x0f, 0x05);
/** Between the instruction that loads the number and the call stand at most those that load six arguments. */
const LOOK_BACK_BYTES = 48;
const LARGEST_NUMBER = 511;

/**
 * The places in code that hold the bytes of `syscall`. Where no number is found before one, it may as well be a part of
 * another instruction, or data.
 */
export function* systemCallsIn(code: Buffer): Generator<SystemCallInstruction> {
  for (let offset = code.indexOf(SYSCALL); offset >= 0; offset = code.indexOf(SYSCALL, offset + 2)) {
    yield { offset, number: numberBefore(code, offset) };
  }
}

/** `mov $imm32, %eax`, `mov $imm32, %rax` or `push $imm8; pop %rax`, the last one before the call. */
function numberBefore(code: Buffer, offset: number): number | null {
  const first = Math.max(0, offset - LOOK_BACK_BYTES);
  for (let at = offset - 3; at >= first; at--) {
    let number = -1;
    if (code[at] === 0xb8 && at + 5 <= offset) number = code.readUInt32LE(at + 1);
    else if (code[at] === 0x48 && code[at + 1] === 0xc7 && code[at + 2] === 0xc0 && at + 7 <= offset) {
      number = code.readUInt32LE(at + 3);
    } else if (code[at] === 0x6a && code[at + 2] === 0x58) number = code[at + 1]!;
    if (number >= 0 && number <= LARGEST_NUMBER) return number;
  }
  return null;
}
