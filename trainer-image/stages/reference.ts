import { join } from 'node:path';
import { needsReference } from '../../crds/losses.ts';
import { syncOf } from '../../crds/reference.ts';
import type { Run } from '../config.ts';
import type { Pair } from '../data/pair.ts';
import { joined } from '../data/token-rows.ts';
import { TrainerError } from '../errors.ts';
import { klPairs, type HeldOut } from '../evaluate.ts';
import { sumTokens, type PairLogProbs, type PairTokens } from '../loss/scores.ts';
import { splitPairs } from '../model/groups.ts';
import type { Learner } from '../model/learner.ts';
import { referenceIdentity } from '../reference/identity.ts';
import { LiveReference, loadReference, release } from '../reference/live.ts';
import { eachShard, type Shard } from '../reference/shards.ts';
import { ReferenceStore, removeUnused, type StoreEdge } from '../reference/store.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { judgeLabels } from './quality.ts';
import { loadStart, startDigests } from './start.ts';

/** What the preference stage asks of the reference. */
export interface Reference {
  /** Log-probabilities of training pairs, whose numbers among all of them are `items`. */
  ofTraining: (pairs: readonly Pair[], items: readonly number[], beat: () => void) => PairLogProbs[];
  /** The model, where it stays in memory. */
  live?: LiveReference;
}

/** Where the reference is kept: in the cache that jobs share, if the job names one, else beside its checkpoints. */
const referenceFolder = ({ paths, job }: Run): string =>
  join(job.spec.cache === undefined ? paths.checkpoints : paths.cache, 'reference');

/**
 * The reference's log-probabilities of each pair, kept per token: a resumed run, or another job with the same reference,
 * reads them back bit for bit. `model` has its weights at the start of the preference stage.
 */
function referencePass(
  context: StageContext,
  pairs: Iterable<Pair> & { readonly length: number },
  model: Learner,
): PairLogProbs[] {
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
  const result: PairLogProbs[] = [];
  let kept = 0;
  const beat = (more: number): void =>
    report.beat({ stage: 'Reference', stageStep: result.length + more, stageTotal: pairs.length });
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

/** The reference with its weights at the start: the policy itself as long as it has not moved, a copy of it, or its own. */
function modelOf({ run: { job, paths }, learner }: StageContext): Learner {
  const { training, reference } = job.spec;
  if (paths.reference !== undefined) return loadReference(paths.reference, training);
  if (reference.precompute) return learner;
  const copy = loadReference(paths.model, training);
  const start = new Map(learner.weights().map(({ name, read }) => [name, read]));
  copy.restoreWeights((name) => (start.get(name) as () => Float32Array)());
  return copy;
}

/** The reference, and what evaluation asks of it; both undefined where no loss needs one. */
interface Prepared {
  reference: Reference | undefined;
  heldOut: HeldOut;
}

/**
 * To be called while the learner has the weights of the start of the preference stage. The held-out KL is always that against
 * the reference at the start: a synced one follows the policy, and would hide how far that has gone.
 */
export function prepareReference(context: StageContext, data: RunData): Prepared {
  const { learner, run, report } = context;
  const { training, reference } = run.job.spec;
  const model = modelOf(context);
  const batches = splitPairs(data.heldOut, training.microBatchTokens);
  for (const pair of data.heldOut.slice(0, klPairs)) {
    learner.heldOutKl.capture([pair], model.network);
    report.beat({ stage: 'Reference' });
  }
  if (!needsReference(training)) return { reference: undefined, heldOut: { batches, reference: undefined } };
  if (!reference.precompute) return live(new LiveReference(model, learner, syncOf(reference)), batches);
  const logProbs = referencePass(context, joined(data.train, data.heldOut), model);
  if (model !== learner) release(model);
  return precomputed(context, data, logProbs, batches);
}

function live(model: LiveReference, batches: Pair[][]): Prepared {
  return {
    reference: { ofTraining: (pairs, _, beat) => model.logProbs(pairs, beat), live: model },
    heldOut: { batches, reference: (pairs, beat) => model.logProbs(pairs, beat) },
  };
}

/** `logProbs`: of the training pairs, then of those held out. */
function precomputed(
  context: StageContext,
  data: RunData,
  logProbs: readonly PairLogProbs[],
  batches: Pair[][],
): Prepared {
  const ofTraining = logProbs.slice(0, data.train.length);
  const ofHeldOut = logProbs.slice(data.train.length);
  judgeLabels(context, data, ofTraining);
  if (ofHeldOut.length > 0) {
    const share = (100 * rawPreference(ofHeldOut)).toFixed(1);
    context.report.info(`the reference finds the chosen answer likelier in ${share} % of held-out pairs`);
  }
  const byRow = new Map(data.heldOut.map((pair, i) => [pair.row, ofHeldOut[i] as PairLogProbs]));
  return {
    reference: { ofTraining: (_, items) => items.map((item) => ofTraining[item] as PairLogProbs) },
    heldOut: { batches, reference: (pairs) => pairs.map(({ row }) => byRow.get(row) as PairLogProbs) },
  };
}

/** Lets `use` ask the reference as it was at the start of the preference stage; it may leave the learner with its weights. */
export function withReferenceAtStart<T>(context: StageContext, use: (reference: Learner) => T): T {
  const { run, learner } = context;
  if (run.paths.reference === undefined) {
    loadStart(context);
    return use(learner);
  }
  const model = loadReference(run.paths.reference, run.job.spec.training);
  try {
    return use(model);
  } finally {
    release(model);
  }
}
