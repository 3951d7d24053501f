// System calls of the shim's own: inline, so that they pass neither libc's rewritten sites nor errno.
#pragma once

#include <stdint.h>

namespace offheap::runtime {

// x86-64 numbers; the shim exists for this architecture only.
enum : long {
    kSysRead = 0,
    kSysOpen = 2,
    kSysClose = 3,
    kSysMmap = 9,
    kSysMprotect = 10,
    kSysMunmap = 11,
    kSysBrk = 12,
    kSysSigprocmask = 14,
    kSysSchedYield = 24,
    kSysMremap = 25,
    kSysMadvise = 28,
    kSysShmat = 30,
    kSysShmctl = 31,
    kSysNanosleep = 35,
    kSysGetpid = 39,
    kSysKill = 62,
    kSysShmdt = 67,
    kSysFtruncate = 77,
    kSysMkdir = 83,
    kSysUnlink = 87,
    kSysReadlink = 89,
    kSysGetuid = 102,
    kSysGetppid = 110,
    kSysSigaltstack = 131,
    kSysStatfs = 137,
    kSysPrctl = 157,
    kSysGettid = 186,
    kSysRemapFilePages = 216,
    kSysClockGettime = 228,
    kSysExitGroup = 231,
    kSysNewfstatat = 262,
    kSysFallocate = 285,
    kSysPrlimit64 = 302,
    kSysPkeyMprotect = 329,
    kSysProcessMadvise = 440,
};

inline long raw_syscall(long number, long a0 = 0, long a1 = 0, long a2 = 0, long a3 = 0, long a4 = 0,
                        long a5 = 0) {
    register long r10 asm("r10") = a3;
    register long r8 asm("r8") = a4;
    register long r9 asm("r9") = a5;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

// The kernel returns -4095 … -1 for errors; every other value is a result.
inline bool is_error(long result) {
    return static_cast<unsigned long>(result) >= static_cast<unsigned long>(-4095L);
}

inline long as_argument(const void* pointer) { return reinterpret_cast<long>(pointer); }

}  // namespace offheap::runtime
