import { join } from 'node:path';
import { needsReference } from '../../crds/losses.ts';
import type { Run } from '../config.ts';
import type { Pair } from '../data/pair.ts';
import { joined } from '../data/token-rows.ts';
import { TrainerError } from '../errors.ts';
import { klPairs } from '../evaluate.ts';
import { sumTokens, type PairLogProbs, type PairTokens } from '../loss/scores.ts';
import { splitPairs } from '../model/groups.ts';
import { referenceIdentity } from '../reference/identity.ts';
import { eachShard, type Shard } from '../reference/shards.ts';
import { ReferenceStore, removeUnused, type StoreEdge } from '../reference/store.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { judgeLabels } from './quality.ts';
import { startDigests } from './start.ts';

/** Log-probabilities of each pair under the reference, in the order of the pairs. */
export type Reference = PairLogProbs[];

/** Where the reference is kept: in the cache that jobs share, if the job names one, else beside its checkpoints. */
const referenceFolder = ({ paths, job }: Run): string =>
  join(job.spec.cache === undefined ? paths.checkpoints : paths.cache, 'reference');

/**
 * The reference's log-probabilities, computed under the present weights, which must be those at the start of the preference
 * stage, and kept per token: a resumed run, or another job with the same start, reads them back bit for bit. `weights` are
 * digests of what the present weights came from.
 */
export function referencePass(
  { run, learner, computePlan, fence, report }: StageContext,
  pairs: Iterable<Pair> & { readonly length: number },
  weights: readonly string[],
): Reference {
  const { microBatchTokens, ldAlpha, lora } = run.job.spec.training;
  const folder = referenceFolder(run);
  removeUnused(folder);
  const edge: StoreEdge = {
    warn: (reason, message) => report.warn(reason, message),
    mayCommit: () => fence.check(),
  };
  const store = new ReferenceStore(folder, referenceIdentity(weights, { computePlan, microBatchTokens, lora }), edge);
  const result: Reference = [];
  let kept = 0;
  const beat = (more: number): void =>
    report.beat({ stage: 'Reference', stageStep: result.length + more, stageTotal: pairs.length });
  const compute = (shard: Shard): PairTokens[] => {
    const tokens: PairTokens[] = [];
    for (const batch of splitPairs(shard.pairs, microBatchTokens)) {
      tokens.push(...learner.tokenLogProbs(batch));
      checkReference(batch, tokens.slice(-batch.length));
      beat(tokens.length);
    }
    store.write(shard, tokens);
    return tokens;
  };
  for (const shard of eachShard(pairs, microBatchTokens)) {
    const stored = store.read(shard);
    kept += stored?.length ?? 0;
    result.push(...(stored ?? compute(shard)).map((tokens) => sumTokens(tokens, { ldAlpha })));
    beat(0);
  }
  report.info(`reference: ${kept} of ${result.length} pairs were in ${folder}`);
  return result;
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

/** Share of pairs whose chosen answer is the likelier one under the reference: what the model preferred before. */
export function rawPreference(reference: readonly PairLogProbs[]): number {
  return reference.filter(({ chosen, rejected }) => chosen > rejected).length / reference.length;
}

/** The reference's log-probabilities of all pairs, and what held-out KL needs, from the present weights. */
export function prepareReference(context: StageContext, data: RunData) {
  const { learner, report, run } = context;
  const { training } = run.job.spec;
  const pairs = joined(data.train, data.heldOut);
  const all = needsReference(training) ? referencePass(context, pairs, startDigests(context)) : undefined;
  const reference = all?.slice(0, data.train.length);
  const ofHeldOut = all?.slice(data.train.length);
  if (reference !== undefined) judgeLabels(context, data, reference);
  for (const pair of data.heldOut.slice(0, klPairs)) {
    learner.heldOutKl.capture([pair]);
    report.beat({ stage: 'Reference' });
  }
  if (ofHeldOut !== undefined && ofHeldOut.length > 0) {
    const share = rawPreference(ofHeldOut);
    report.info(`the reference finds the chosen answer likelier in ${(100 * share).toFixed(1)} % of held-out pairs`);
  }
  const byRow = ofHeldOut && new Map(data.heldOut.map((pair, i) => [pair.row, ofHeldOut[i] as Reference[number]]));
  const batches: Pair[][] = splitPairs(data.heldOut, training.microBatchTokens);
  return { reference, heldOut: { batches, reference: byRow } };
}
