/** A stream of 32-bit numbers from a seed (splitmix32, Steele et al. 2014, with the mixer of murmur3). */
function random32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
}

/** The order of `count` items in an epoch: shuffled (Fisher and Yates) by seed and epoch alone, or as they stand. */
export function epochOrder(
  count: number,
  epoch: number,
  { seed, shuffle }: { seed: number; shuffle: boolean },
): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  if (!shuffle) return order;
  const random = random32(Math.imul(seed ^ 0x6a09e667, 0x01000193) + epoch);
  for (let i = count - 1; i > 0; i--) {
    const other = random() % (i + 1);
    const kept = order[i] as number;
    order[i] = order[other] as number;
    order[other] = kept;
  }
  return order;
}

let latest: { key: string; order: Int32Array } | undefined;

/** `epochOrder`, made once per epoch: every step asks for it, and a data set may have millions of rows. */
function latestOrder(count: number, epoch: number, plan: { seed: number; shuffle: boolean }): Int32Array {
  const key = [count, epoch, plan.seed, plan.shuffle].join();
  if (latest?.key !== key) latest = { key, order: epochOrder(count, epoch, plan) };
  return latest.order;
}

/**
 * The items of optimizer step `step` (counted from 0): the epochs' orders one after the other, in batches. The last batch
 * of an epoch may be smaller, as in TRL. Throws RangeError when there is no item.
 */
export function stepBatch(
  step: number,
  plan: { count: number; batchSize: number; seed: number; shuffle: boolean },
): { epoch: number; items: Int32Array } {
  const perEpoch = stepsPerEpoch(plan.count, plan.batchSize);
  if (perEpoch === 0) throw new RangeError('there is nothing to train on');
  const epoch = Math.floor(step / perEpoch);
  const from = (step % perEpoch) * plan.batchSize;
  return { epoch, items: latestOrder(plan.count, epoch, plan).slice(from, from + plan.batchSize) };
}

export const stepsPerEpoch = (count: number, batchSize: number): number => Math.ceil(count / batchSize);
