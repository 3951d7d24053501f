import type { Operation } from '../wire/event.js';

/**
 * The knowledge about well-known libraries, as data. Patterns are matched against a module's soname or base name;
 * wheels rename libraries to `libucm-1a2b3c4d.so.0.0.0`, hence the loose ends.
 */

/** libc in one piece or, before glibc 2.34, several; musl too. */
export const LIBC_MODULES: readonly RegExp[] = [
  /^libc\.so/,
  /^libc-2\.\d+\.so$/,
  /^libpthread[-.]/,
  /^(libc|ld)[.-]musl-/,
];

/** What the system and the compilers put below every program. */
export const RUNTIME_MODULES: readonly RegExp[] = [
  ...LIBC_MODULES,
  /^ld-linux/, // the dynamic loader: whoever called dlopen
  /^ld-2\.\d+\.so$/,
  /^libdl[-.]/,
  /^librt[-.]/,
  /^libgcc_s[-.]/, // the unwinder
  /^libstdc\+\+[-.]/, // operator new, std::thread
  /^libc\+\+(abi)?[-.]/,
  /^(linux-vdso|linux-gate)[-.]/,
  /^\[(vdso|vsyscall)\]$/,
  /^liboffheap/, // the shim
];

/** Modules that map memory only at somebody's behest: never owners while anything else is on the stack. */
export const PLUMBING_MODULES: readonly RegExp[] = [
  ...RUNTIME_MODULES,
  /^libucm(_\w+)?[-.]/, // UCX's memory hooks relay every call of the process
];

/** Allocators: what they map is theirs; who holds it inside is the heap's question. */
export const ALLOCATOR_MODULES: readonly RegExp[] = [
  /^libjemalloc/,
  /^libtcmalloc/,
  /^libmimalloc/,
  /^libhoard/,
  /^libsnmalloc/,
  /^librpmalloc/,
  /^libscudo/,
  /^libtbbmalloc/,
  /^libmesh\b/,
  /^lib(a|t|l|ub|hwa)san[-.]/,
];

/** Functions of libc in which a mapping is malloc's own. Debian's libc names only the exported ones. */
export const LIBC_ALLOCATOR_FUNCTIONS: ReadonlySet<string> = new Set([
  ...['malloc', 'calloc', 'realloc', 'reallocarray', 'memalign', 'posix_memalign', 'aligned_alloc'],
  ...['valloc', 'pvalloc', 'free', 'cfree', 'malloc_trim', 'mallopt', 'mallinfo', 'mallinfo2', 'malloc_info'],
  ...['libc_malloc', 'libc_calloc', 'libc_realloc', 'libc_reallocarray', 'libc_memalign', 'libc_valloc'],
  ...['libc_pvalloc', 'libc_free', 'int_malloc', 'int_realloc', 'int_memalign', 'int_free', 'mid_memalign'],
  ...['sysmalloc', 'sysmalloc_mmap', 'sysmalloc_mmap_fallback', 'systrim', 'heap_trim', 'new_heap'],
  ...['alloc_new_heap', 'grow_heap', 'shrink_heap', 'arena_get2', 'arena_get_retry', 'int_new_arena'],
  ...['mremap_chunk', 'munmap_chunk', 'malloc_consolidate', 'ptmalloc_init', 'tcache_init'],
  ...['glibc_morecore', 'default_morecore'],
]);

/** The interpreter's module: a shared libpython, or the program `python3.x` itself. */
export const PYTHON_MODULES: readonly RegExp[] = [/^python3(\.\d+)?[a-z]*$/, /^libpython3[-.]?/];

/** What runs JavaScript, and what runs Java. */
export const JAVASCRIPT_MODULES: readonly RegExp[] = [/^node$/, /^libnode[-.]/, /^electron$/];
export const JAVA_MODULES: readonly RegExp[] = [/^libjvm\./, /^libjli\./, /^java$/];

/** V8's own code between a script's functions: in its binary, and as its perf map calls it. */
export const V8_BUILTIN = /^Builtins_|^(?:Builtin|BytecodeHandler|Handler|Stub):/;

/** CPython's small-object arenas, by the functions that map them. */
export const PYTHON_ARENA_FUNCTIONS: ReadonlySet<string> = new Set([
  'PyObject_ArenaMmap',
  'PyObject_ArenaMalloc',
  'PyMem_ArenaAlloc',
  'new_arena',
]);

/** libc's functions that do nothing but make the system call: not anybody's caller. */
export const SYSTEM_CALL_WRAPPERS: ReadonlySet<string> = new Set([
  ...['syscall', 'mmap', 'mmap64', 'munmap', 'mremap', 'brk', 'sbrk', 'madvise', 'posix_madvise'],
  ...['process_madvise', 'shmat', 'shmdt', 'mprotect', 'pkey_mprotect', 'remap_file_pages'],
]);

/**
 * Functions that are, or relay, a memory operation: memory that somebody maps below one of them was mapped inside that
 * operation. Names without leading underscores, as `bareName` leaves them.
 */
export const OPERATION_FUNCTIONS: ReadonlyMap<string, Operation> = new Map([
  ...names('mmap', ['mmap', 'mmap64', 'libc_mmap', 'libc_mmap64']),
  ...names('munmap', ['munmap', 'libc_munmap', 'free', 'cfree', 'libc_free']),
  ...names('mremap', ['mremap', 'libc_mremap']),
  ...names('brk', ['brk', 'sbrk', 'libc_brk', 'libc_sbrk']),
  ...names('madvise', ['madvise', 'posix_madvise', 'libc_madvise']),
  ...names('process_madvise', ['process_madvise']),
  ...names('mprotect', ['mprotect', 'libc_mprotect']),
  ...names('pkey_mprotect', ['pkey_mprotect']),
  ...names('remap_file_pages', ['remap_file_pages']),
  ...names('shmat', ['shmat', 'libc_shmat']),
  ...names('shmdt', ['shmdt', 'libc_shmdt']),
]);

/** How relays call their version of an operation: `ucm_munmap`, `ucm_override_munmap`. */
export const RELAY_PREFIX = /^ucm_(override_|bistro_)?/;

/** A function's name without version, leading underscores and the relay's prefix: `__munmap@@GLIBC_2.2.5` → `munmap`. */
export function bareName(name: string): string {
  return name.replace(/@.*$/, '').replace(RELAY_PREFIX, '').replace(/^_+/, '');
}

export function matches(patterns: readonly RegExp[], module: string): boolean {
  return patterns.some((pattern) => pattern.test(module));
}

function names(operation: Operation, functions: readonly string[]): [string, Operation][] {
  return functions.map((name) => [name, operation]);
}
