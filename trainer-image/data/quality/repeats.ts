import { swapped } from './fingerprint.ts';

/** Keys that occur more than once, or of which the swapped one occurs too. */
function repeatedKeys(keys: Float64Array): Set<number> {
  const sorted = keys.toSorted();
  const repeated = new Set<number>();
  for (let i = 1; i < sorted.length; i++) {
    const [before, key] = [sorted[i - 1] as number, sorted[i] as number];
    // A key and its swapped one are neighbours: they differ in the last bit.
    if (Math.floor(before / 2) === Math.floor(key / 2)) repeated.add(before).add(key);
  }
  return repeated;
}

/**
 * Tells of each row that repeats an earlier one (`duplicate`, with the first such row) and of each whose answers stand
 * swapped in another row (`contradicting`, with the first such row). Rows are given by their index in `keys`. Needs 8
 * bytes per row while it sorts, and more only for keys that repeat.
 */
export function visitRepeats(
  keys: Float64Array,
  found: (check: 'duplicate' | 'contradicting', index: number, other: number) => void,
): void {
  const repeated = repeatedKeys(keys);
  const first = new Map<number, number>();
  keys.forEach((key, i) => {
    if (repeated.has(key) && !first.has(key)) first.set(key, i);
  });
  keys.forEach((key, i) => {
    if (!repeated.has(key)) return;
    const same = first.get(key) as number;
    if (same !== i) found('duplicate', i, same);
    const opposite = first.get(swapped(key));
    if (opposite !== undefined) found('contradicting', i, opposite);
  });
}
