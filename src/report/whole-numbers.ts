/**
 * Rounds estimates so that the sum of the whole numbers is the rounded sum of the estimates: a table's rows then add up
 * to its total. None is off by more than one.
 */
export function wholeNumbers(estimates: Iterable<number>): number[] {
  const rounded: number[] = [];
  let sum = 0;
  let roundedSum = 0;
  for (const estimate of estimates) {
    sum += estimate;
    // No -0, which sums of what came and went may leave.
    const next = Math.round(sum) + 0;
    rounded.push(next - roundedSum);
    roundedSum = next;
  }
  return rounded;
}
