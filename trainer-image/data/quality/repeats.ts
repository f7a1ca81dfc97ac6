import { swapped } from './fingerprint.ts';
import { FirstPlaces } from './first-places.ts';

/**
 * Tells of each row that repeats an earlier one (`duplicate`, with the first such row) and of each whose answers stand
 * swapped in another row (`contradicting`, with the first such row). Rows are given by their index in `keys`. Needs 12
 * bytes per row meanwhile, however many repeat.
 */
export function visitRepeats(
  keys: Float64Array,
  found: (check: 'duplicate' | 'contradicting', index: number, other: number) => void,
): void {
  const first = new FirstPlaces(keys);
  keys.forEach((key, i) => {
    const same = first.of(key) as number;
    if (same !== i) found('duplicate', i, same);
    const opposite = first.of(swapped(key));
    if (opposite !== undefined) found('contradicting', i, opposite);
  });
}
