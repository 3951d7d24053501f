/** Median and middle half of some rounds: two noisy cores make means and extremes worthless. */
export interface Spread {
  median: number;
  /** First and third quartile. */
  low: number;
  high: number;
  rounds: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    low: quantile(sorted, 0.25),
    high: quantile(sorted, 0.75),
    rounds: sorted.length,
  };
}

/** What `tool` adds in each round: the machine's mood of that round is in both and cancels. */
export function added(bare: readonly number[], tool: readonly number[]): Spread {
  return spread(tool.map((value, round) => value - bare[round]!));
}

export function median(values: readonly number[]): number {
  return spread(values).median;
}

function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) throw new RangeError('no rounds to take a quantile of');
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

/**
 * Runs every arm once per round, each round starting with another one, so that no arm always follows the same
 * neighbour. Returns what each gave, by round.
 */
export async function interleave<Arm extends string>(
  rounds: number,
  arms: Readonly<Record<Arm, (round: number) => number | Promise<number>>>,
): Promise<Record<Arm, number[]>> {
  const names = Object.keys(arms) as Arm[];
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Arm, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]!;
      values[name].push(await arms[name](round));
    }
  }
  return values;
}
