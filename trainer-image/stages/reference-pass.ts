import { join } from 'node:path';
import type { Run } from '../config.ts';
import type { Pair } from '../data/pair.ts';
import { TrainerError } from '../errors.ts';
import { sumTokens, type PairTokens } from '../loss/scores.ts';
import { splitPairs } from '../model/groups.ts';
import type { Learner } from '../model/learner.ts';
import { referenceIdentity } from '../reference/identity.ts';
import { eachShard, type Shard } from '../reference/shards.ts';
import { ReferenceStore, removeUnused, type StoreEdge } from '../reference/store.ts';
import { PairSums } from '../reference/sums.ts';
import type { StageContext } from './context.ts';
import { startDigests } from './start.ts';

/** Where the reference is kept: in the cache that jobs share, if the job names one, else beside its checkpoints. */
const referenceFolder = ({ paths, job }: Run): string =>
  join(job.spec.cache === undefined ? paths.checkpoints : paths.cache, 'reference');

/**
 * The reference's log-probabilities of each pair, kept per token: a resumed run, or another job with the same reference,
 * reads them back bit for bit. `model` has its weights at the start of the preference stage.
 */
export function referencePass(
  context: StageContext,
  pairs: Iterable<Pair> & { readonly length: number },
  model: Learner,
): PairSums {
  const { run, computePlan, fence, report } = context;
  const { microBatchTokens, ldAlpha } = run.job.spec.training;
  // A model of its own has no adapters.
  const lora = context.referenceDigest === undefined ? run.job.spec.training.lora : undefined;
  const folder = referenceFolder(run);
  removeUnused(folder);
  const edge: StoreEdge = {
    warn: (reason, message) => report.warn(reason, message),
    mayCommit: () => fence.check(),
  };
  const store = new ReferenceStore(
    folder,
    referenceIdentity(startDigests(context), { computePlan, microBatchTokens, lora }),
    edge,
  );
  const sums = new PairSums(pairs.length);
  let [done, kept] = [0, 0];
  const beat = (more: number): void =>
    report.beat({ stage: 'Reference', stageStep: done + more, stageTotal: pairs.length });
  const compute = (shard: Shard): PairTokens[] => {
    const tokens: PairTokens[] = [];
    for (const batch of splitPairs(shard.pairs, microBatchTokens)) {
      tokens.push(...model.tokenLogProbs(batch));
      checkReference(batch, tokens.slice(-batch.length));
      beat(tokens.length);
    }
    store.write(shard, tokens);
    return tokens;
  };
  for (const shard of eachShard(pairs, microBatchTokens)) {
    const stored = store.read(shard);
    kept += stored?.length ?? 0;
    for (const tokens of stored ?? compute(shard)) sums.set(done++, sumTokens(tokens, { ldAlpha }));
    beat(0);
  }
  report.info(`reference: ${kept} of ${done} pairs were in ${folder}`);
  return sums;
}

/** Throws NonFinite that names the rows: no step could be taken on them, and no step is to blame. */
function checkReference(pairs: readonly Pair[], logProbs: readonly PairTokens[]): void {
  const finite = ({ chosen, rejected }: PairTokens): boolean =>
    [chosen, rejected].every((each) => each.every(isFinite));
  const rows = pairs.filter((_, i) => !finite(logProbs[i] as PairTokens)).map(({ row }) => row);
  if (rows.length === 0) return;
  const message = `before any preference training the model gives no finite log-probability for rows ${rows.join(', ')}: its weights, or those that SFT made of them, are too large for float32`;
  throw new TrainerError('NonFinite', message);
}
