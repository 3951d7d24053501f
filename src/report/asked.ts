import { formatBytes, formatCount, formatPercent, percentOf } from './bytes.js';
import type { AccountNode, AccountReport } from './schema.js';
import { printable } from './text.js';

/** A smaller allocator is not worth the words. */
const NOTABLE_BYTES = 1 << 20;

/** What blocks were asked for, allocator by allocator, and what these set aside for them beyond that. */
export function askedLines({ tree, recorded }: AccountReport): string[] {
  if (tree === null || !recorded) return [];
  const allocators = tree.children.find(({ kind }) => kind === 'allocators')?.children ?? [];
  const notable = allocators.filter(
    ({ asked, askedUnknown, residentBytes, swapBytes }) =>
      (asked ?? askedUnknown) !== undefined && residentBytes + swapBytes >= NOTABLE_BYTES,
  );
  if (notable.length === 0) return [];
  return ['what blocks in use were asked for:', ...notable.map(lineOf)];
}

function lineOf({ name, asked, askedUnknown }: AccountNode): string {
  const who = `  ${printable(name)}: `;
  if (asked === undefined) return `${who}not known: ${askedUnknown}`;
  const { coverage, allocations, bytes, slackBytes, slackErrorBytes, unclassedBytes, unrecordedBytes } =
    asked;
  const about = coverage === 'sampled' ? 'about ' : '';
  const parts = [`${about}${formatBytes(bytes)} in ${formatCount(allocations, 'block')}`];
  if (slackBytes === null) {
    parts.push('its sizes of blocks are not known');
  } else {
    const error = slackErrorBytes > 0 ? ` ± ${formatBytes(slackErrorBytes)}` : '';
    const share = formatPercent(percentOf(slackBytes, bytes + slackBytes));
    parts.push(`slack ${about}${formatBytes(slackBytes)}${error} (${share})`);
  }
  if (slackBytes !== null && unclassedBytes > 0) {
    parts.push(`slack unknown of ${formatBytes(unclassedBytes)} in larger blocks`);
  }
  if (unrecordedBytes !== null && unrecordedBytes > 0 && coverage === 'some') {
    parts.push(`${formatBytes(unrecordedBytes)} not recorded, or in caches`);
  }
  return who + parts.join(', ');
}
