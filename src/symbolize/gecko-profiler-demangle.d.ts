/** The package's typed entry imports WebAssembly as a module, which Node takes only under a flag; this is its inner one. */
declare module 'gecko-profiler-demangle/index_bg.js' {
  export function __wbg_set_wasm(exports: unknown): void;
  export function demangle_any(name: string): string;
}
