import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { readSealed, writeSealed } from '../checkpoint/store.ts';
import type { Pair } from '../data/pair.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import { TrainerError } from '../errors.ts';
import { sumTokens, type PairLogProbs } from '../loss/scores.ts';
import { repeatedShare, type Answer, type Sample } from '../metrics/samples.ts';
import { generate, type Generated } from '../model/generate.ts';
import { splitPairs } from '../model/groups.ts';
import type { Learner } from '../model/learner.ts';
import { Stopped, type StageContext } from './context.ts';
import type { Prompt, Questions } from './questions.ts';
import type { LiveReference } from '../reference/live.ts';
import { withReferenceAtStart } from './reference-at-start.ts';

const sampleOf = z.custom<Sample>((value) => typeof value === 'object' && value !== null);
const storedSchema = z.object({ key: z.string(), samples: z.array(sampleOf) });

/**
 * Both models answer the same prompts, greedily: first the policy, then the reference (`live`, where it is in memory).
 * Done once; a restarted run reads it back.
 */
function compareWithReference(context: StageContext, asked: Questions, live: LiveReference | undefined): Sample[] {
  const { run, learner, plan, fence, report } = context;
  const { prompts, tokenizer } = asked;
  if (prompts.length === 0) return [];
  const key = keyOf([plan, asked.maxNewTokens], prompts, digestOf(context));
  const file = join(run.paths.checkpoints, 'comparison.json');
  const stored = storedSchema.safeParse(readSealed(file));
  if (stored.success && stored.data.key === key) return stored.data.samples;
  report.info(`both models answer ${prompts.length} prompts`);
  const { pairs, ofReference } = askBoth(context, asked, live);
  const ofPolicy = scored(context, pairs, learner);
  const samples = prompts.map((prompt, i) => {
    const [pair, own, other] = [pairs[i], ofPolicy[i], ofReference[i]] as [AnswerPair, PairLogProbs, PairLogProbs];
    return sampleFrom(prompt, pair, ratios(own, other), { tokenizer, beta: run.job.spec.training.beta });
  });
  writeSealed(file, { key, samples }, fence);
  return samples;
}

/** The comparison, or none with a warning where it fails by itself: the model is trained, and worth more than its report. */
export function compareOrWarn(context: StageContext, asked: Questions, live: LiveReference | undefined): Sample[] {
  try {
    return compareWithReference(context, asked, live);
  } catch (error) {
    if (error instanceof Stopped || error instanceof TrainerError) throw error;
    const message = `the comparison with the reference failed and is left out: ${(error as Error).message}`;
    context.report.warn('ComparisonFailed', message);
    return [];
  }
}

/** Both models' answers, and what the reference makes of them. */
function askBoth(
  context: StageContext,
  asked: Questions,
  live: LiveReference | undefined,
): { pairs: AnswerPair[]; ofReference: PairLogProbs[] } {
  const answer = answering(context, asked);
  const policy = answer(context.learner);
  const askReference = (reference: Learner) => {
    const pairs = pairsOf(asked.prompts, policy, answer(reference));
    return { pairs, ofReference: scored(context, pairs, reference) };
  };
  return withReferenceAtStart(context, live, askReference, beating(context));
}

const beating =
  ({ report }: StageContext) =>
  (): void =>
    report.beat({ stage: 'Comparing' });

/** The policy's answer as `chosen`, the reference's as `rejected`. */
interface AnswerPair extends Pair {
  answers: { chosen: Generated; rejected: Generated };
}

const pairsOf = (
  prompts: readonly Prompt[],
  policy: readonly Generated[],
  reference: readonly Generated[],
): AnswerPair[] =>
  prompts.map(({ tokens: prompt }, row) => {
    const [chosen, rejected] = [policy[row] as Generated, reference[row] as Generated];
    return { row, prompt, chosen: chosen.tokens, rejected: rejected.tokens, answers: { chosen, rejected } };
  });

const ratios = (policy: PairLogProbs, reference: PairLogProbs): PairLogProbs => ({
  chosen: policy.chosen - reference.chosen,
  rejected: policy.rejected - reference.rejected,
});

function keyOf(settings: readonly unknown[], prompts: readonly Prompt[], weights: string): string {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const { tokens } of prompts) hash.update(tokens).update('|');
  return hash.update(weights).digest('hex');
}

/** sha256 of the policy's weights, read one by one with a beat after each. */
function digestOf(context: StageContext): string {
  const [hash, beat] = [createHash('sha256'), beating(context)];
  for (const { read } of context.learner.weights()) {
    hash.update(read());
    beat();
  }
  return hash.digest('hex');
}

/** A function that lets a model answer with the weights of its moment. */
function answering({ run, report }: StageContext, { prompts, maxNewTokens, stop }: Questions) {
  let stageStep = 0;
  const beat = (): void =>
    report.beat({ stage: 'Comparing', stageStep: (stageStep += 1), stageTotal: 2 * maxNewTokens });
  const budget = run.job.spec.training.microBatchTokens;
  return ({ network }: Learner): Generated[] =>
    generate(
      network,
      prompts.map(({ tokens }) => tokens),
      { maxNewTokens, stop, budget, beat },
    );
}

function scored(context: StageContext, pairs: readonly AnswerPair[], model: Learner): PairLogProbs[] {
  return splitPairs(pairs, context.run.job.spec.training.microBatchTokens).flatMap((batch) => {
    const scores = model.tokenLogProbs(batch).map((tokens) => sumTokens(tokens));
    beating(context)();
    return scores;
  });
}

function sampleFrom(
  prompt: Prompt,
  { answers }: AnswerPair,
  ratio: PairLogProbs,
  { tokenizer, beta }: { tokenizer: Tokenizer; beta: number },
): Sample {
  const answerOf = (side: 'chosen' | 'rejected'): Answer => {
    const { tokens, ended } = answers[side];
    const content = ended ? tokens.slice(0, -1) : tokens;
    const text = tokenizer.decode([...content]);
    return { text, tokens: content.length, ended, repetition: repeatedShare(content), reward: beta * ratio[side] };
  };
  const kl = ratio.chosen / answers.chosen.tokens.length;
  return {
    source: prompt.source,
    prompt: prompt.text,
    policy: answerOf('chosen'),
    reference: answerOf('rejected'),
    kl,
  };
}
