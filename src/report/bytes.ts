/** Quantities for people. Decimal units throughout: 1 kB is 1000 bytes, as in the snapshot's own figures. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** "0 B", "151.6 kB", "57.7 MB", "-1.20 GB": three significant digits or one decimal, whichever says more. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '?';
  const sign = bytes < 0 ? '-' : '';
  let value = Math.abs(bytes);
  let unit = 0;
  // 999.95 would print as "1000.0".
  while (unit < UNITS.length - 1 && value >= (unit === 0 ? 1000 : 999.95)) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : value < 9.995 ? 2 : 1;
  return `${sign}${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A change: "+400.0 MB", "-1.00 kB", "0 B". */
export function formatChange(bytes: number): string {
  return bytes > 0 ? `+${formatBytes(bytes)}` : formatBytes(bytes);
}

/** "+400.0 MB/min"; "0" where nothing moves. */
export function formatRate(bytesPerMinute: number): string {
  const rounded = Math.round(bytesPerMinute);
  return rounded === 0 ? '0' : `${formatChange(rounded)}/min`;
}

/** "99.8 %". Never rounds a gap away: less than everything prints as at most 99.9 %. */
export function formatPercent(percent: number): string {
  if (!Number.isFinite(percent)) return '?';
  const shown = percent < 100 ? Math.min(percent, 99.9) : percent;
  const rounded = shown > 0 && shown < 0.1 ? '<0.1' : shown.toFixed(1);
  return `${rounded} %`;
}

/** `part` of `whole` in percent; 0 where there is no whole. */
export function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}

/** "42 s", "1 min 02 s", "3 h 05 min". */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (n: number) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** "1 mapping", "381 mappings". */
export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}
