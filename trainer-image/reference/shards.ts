import { createHash } from 'node:crypto';
import type { Pair } from '../data/pair.ts';
import { pairTokens } from '../model/groups.ts';

/** Consecutive pairs whose log-probabilities are computed, and kept, together. */
export interface Shard {
  pairs: Pair[];
  /** sha256 of every token id in it. */
  digest: string;
}

function pairDigest({ prompt, chosen, rejected }: Pair): Buffer {
  const lengths = Int32Array.of(prompt.length, chosen.length, rejected.length);
  return createHash('sha256').update(lengths).update(prompt).update(chosen).update(rejected).digest();
}

/** Micro-batches that a shard has at least, except for the last one, and at most: what is lost when a pass is killed. */
const [least, most] = [4, 8];

/**
 * Cuts pairs, in their order, into shards. Between `least` and `most` a shard ends behind a pair whose own digest says so, so
 * that data of which some rows were added or left out is cut in the same places again, except around those rows.
 */
export function* eachShard(pairs: Iterable<Pair>, microBatchTokens: number): Generator<Shard> {
  let [shard, hash, tokens]: [Pair[], ReturnType<typeof createHash>, number] = [[], createHash('sha256'), 0];
  for (const pair of pairs) {
    const digest = pairDigest(pair);
    shard.push(pair);
    hash.update(digest);
    tokens += pairTokens(pair);
    const [enough, full] = [least, most].map((count) => tokens >= count * microBatchTokens);
    if (full !== true && !(enough === true && (digest[0] as number) % 16 === 0)) continue;
    yield { pairs: shard, digest: hash.digest('hex') };
    [shard, hash, tokens] = [[], createHash('sha256'), 0];
  }
  if (shard.length > 0) yield { pairs: shard, digest: hash.digest('hex') };
}
