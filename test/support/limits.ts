/**
 * What has not come by then never comes. A machine may be ten times slower than usual, so no limit stands for a speed: it only
 * turns what hangs into a failure, before the test's own limit would, and with what was said until then.
 */
export const HANGS_AFTER_MS = 240_000;
