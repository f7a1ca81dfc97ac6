import { needsReference } from '../../crds/losses.ts';
import { syncOf } from '../../crds/reference.ts';
import type { Pair } from '../data/pair.ts';
import { first, joined, type Rows } from '../data/token-rows.ts';
import { klPairs, type HeldOut } from '../evaluate.ts';
import { batchTotals } from '../loss/objective.ts';
import type { PairLogProbs } from '../loss/scores.ts';
import type { Learner } from '../model/learner.ts';
import { LiveReference, loadReference, release } from '../reference/live.ts';
import type { PairSums } from '../reference/sums.ts';
import type { StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { judgeLabels } from './quality.ts';
import { referencePass } from './reference-pass.ts';

/** What the preference stage asks of the reference. */
export interface Reference {
  /** Log-probabilities of training pairs, whose numbers among all of them are `items`. */
  ofTraining: (pairs: readonly Pair[], items: readonly number[], beat: () => void) => PairLogProbs[];
  /** The model, where it stays in memory. */
  live?: LiveReference;
}

/** The reference with its weights at the start: the policy itself as long as it has not moved, a copy of it, or its own. */
function modelOf({ run: { job, paths }, learner, report }: StageContext): Learner {
  const beat = (): void => report.beat({ stage: 'Reference' });
  const { training, reference } = job.spec;
  if (paths.reference !== undefined) return loadReference(paths.reference, training, beat);
  if (reference.precompute) return learner;
  const copy = loadReference(paths.model, training, beat);
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
  const heldOut = { pairs: data.heldOut, totals: batchTotals(data.heldOut) };
  for (const pair of first(data.heldOut, klPairs)) {
    learner.heldOutKl.capture([pair], model.network);
    report.beat({ stage: 'Reference' });
  }
  if (!needsReference(training)) return { reference: undefined, heldOut: { ...heldOut, reference: undefined } };
  if (!reference.precompute) return live(new LiveReference(model, learner, syncOf(reference)), heldOut);
  const sums = referencePass(context, joined(data.train, data.heldOut), model);
  if (model !== learner) release(model);
  return precomputed(context, data, sums, heldOut);
}

type HeldOutPairs = Omit<HeldOut, 'reference'>;

function live(model: LiveReference, heldOut: HeldOutPairs): Prepared {
  return {
    reference: { ofTraining: (pairs, _, beat) => model.logProbs(pairs, beat), live: model },
    heldOut: { ...heldOut, reference: (pairs, _, beat) => model.logProbs(pairs, beat) },
  };
}

/** `sums`: of the training pairs, then of those held out. */
function precomputed(context: StageContext, data: RunData, sums: PairSums, heldOut: HeldOutPairs): Prepared {
  const trained = data.train.length;
  judgeLabels(context, data, sums);
  if (heldOut.pairs.length > 0) {
    const [summed, perToken] = rawPreference(sums, trained, heldOut.pairs).map((share) => (100 * share).toFixed(1));
    context.report.info(
      `the reference finds the chosen answer likelier in ${summed} % of held-out pairs by the sum of its tokens, which favours short answers, and in ${perToken} % per token`,
    );
  }
  return {
    reference: { ofTraining: (_, items) => items.map((item) => sums.at(item)) },
    heldOut: { ...heldOut, reference: (pairs, from) => pairs.map((_, i) => sums.at(trained + from + i)) },
  };
}

/** Shares of pairs whose chosen answer is the likelier one under the reference, summed and per token: what it preferred before. */
function rawPreference(sums: PairSums, from: number, pairs: Rows<Pair>): [summed: number, perToken: number] {
  let [summed, perToken, pair] = [0, 0, from];
  for (const { chosen, rejected } of pairs) {
    const logProbs = sums.at(pair++);
    summed += Number(logProbs.chosen > logProbs.rejected);
    perToken += Number(logProbs.chosen / chosen.length > logProbs.rejected / rejected.length);
  }
  return [summed / pairs.length, perToken / pairs.length];
}
