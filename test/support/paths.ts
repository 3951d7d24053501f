import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TARGET_SOURCES = join(ROOT, 'test', 'targets');
export const TARGET_BUILDS = join(ROOT, 'build', 'targets');
/** UCX out of the PyPI wheel, once `examples/ucx-rcache/fetch_ucx.py` has run. */
export const LIBUCP = join(ROOT, 'build', 'ucx', 'lib', 'libucp.so.0');
/** Out of the PyPI wheel of test/support/requirements.txt. */
export const PY_SPY = join(ROOT, 'build', 'py-spy', 'bin', 'py-spy');
