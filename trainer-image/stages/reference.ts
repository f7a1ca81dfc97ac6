import { join } from 'node:path';
import { z } from 'zod';
import { needsReference } from '../../crds/losses.ts';
import { readSealed, writeSealed } from '../checkpoint/store.ts';
import { eachMicroBatch } from '../data/layout.ts';
import type { Pair } from '../data/pair.ts';
import { joined } from '../data/token-rows.ts';
import { TrainerError } from '../errors.ts';
import { klPairs } from '../evaluate.ts';
import { sumTokens, type PairLogProbs } from '../loss/scores.ts';
import { pairTokens, splitPairs } from '../model/groups.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { judgeLabels } from './quality.ts';

const storedSchema = z.object({ plan: z.string(), pairs: z.array(z.tuple([z.number(), z.number()])) });

/** Log-probabilities of each pair under the reference, in the order of the pairs. */
export type Reference = PairLogProbs[];

/**
 * The reference's log-probabilities, computed once under the present weights, which must be those at the start of the
 * preference stage, and kept beside the checkpoints: a resumed run reads them back and never computes them anew from
 * weights that have moved.
 */
export function referencePass(
  { run, learner, plan, fence, report }: StageContext,
  pairs: Iterable<Pair> & { readonly length: number },
): Reference {
  const { microBatchTokens, ldAlpha } = run.job.spec.training;
  const file = join(run.paths.checkpoints, 'reference.json');
  const stored = storedSchema.safeParse(readSealed(file));
  if (stored.success && stored.data.plan === plan && stored.data.pairs.length === pairs.length) {
    return stored.data.pairs.map(([chosen, rejected]) => ({ chosen, rejected }));
  }
  const result: Reference = [];
  for (const batch of eachMicroBatch(pairs, pairTokens, microBatchTokens)) {
    const logProbs = learner.tokenLogProbs(batch).map((tokens) => sumTokens(tokens, { ldAlpha }));
    checkReference(batch, logProbs);
    result.push(...logProbs);
    report.beat({ stage: 'Reference', stageStep: result.length, stageTotal: pairs.length });
  }
  writeSealed(file, { plan, pairs: result.map(({ chosen, rejected }) => [chosen, rejected]) }, fence);
  return result;
}

/** Throws NonFinite that names the rows: no step could be taken on them, and no step is to blame. */
function checkReference(pairs: readonly Pair[], logProbs: Reference): void {
  const finite = ({ chosen, rejected }: PairLogProbs): boolean => Number.isFinite(chosen) && Number.isFinite(rejected);
  const rows = pairs.filter((_, i) => !finite(logProbs[i] as PairLogProbs)).map(({ row }) => row);
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
  const all = needsReference(training) ? referencePass(context, joined(data.train, data.heldOut)) : undefined;
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
