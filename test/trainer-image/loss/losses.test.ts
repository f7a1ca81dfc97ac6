import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { lossAtZeroMargin, pairOutcomes } from '../../../trainer-image/loss/objective.ts';
import { pairScores, sumTokens, tokenSlopes, type PairTokens } from '../../../trainer-image/loss/scores.ts';
import { goldenFolder, trainingOf } from '../golden.ts';

interface LossSet {
  completion_mask: number[][];
  policy_logps: number[][];
  ref_logps: number[][];
}
interface LossCase {
  args: { beta?: number };
  sets: Record<string, { loss: number; grad: number[][] }>;
}
const golden = JSON.parse(readFileSync(`${goldenFolder}/loss-unit.json`, 'utf8')) as {
  sets: Record<string, LossSet>;
  cases: Record<string, LossCase>;
};
const cases = Object.entries(golden.cases).flatMap(([name, { args, sets }]) =>
  Object.entries(sets).map(([set, expected]) => ({ name, set, beta: args.beta ?? 0.1, expected })),
);

/** The answers' own tokens of TRL's rows: chosen ones first, then rejected; masks are not shifted, log-probs are. */
function tokensOf(rows: number[][], masks: number[][]): PairTokens[] {
  const answers = rows.map((row, i) => Float32Array.from(row.filter((_, t) => masks[i]?.[t + 1] === 1)));
  const pairs = answers.length / 2;
  return answers.slice(0, pairs).map((chosen, i) => ({ chosen, rejected: answers[pairs + i] as Float32Array }));
}

function close(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-6 + 1e-5 * Math.abs(expected));
}

describe("the loss and its gradient on TRL's made-up log-probabilities", () => {
  test.each(cases)('$name on $set', ({ set, beta, expected }) => {
    const { policy_logps: policy, ref_logps: reference, completion_mask: masks } = golden.sets[set] as LossSet;
    const scores = tokensOf(policy, masks).map(pairScores);
    const outcomes = pairOutcomes(trainingOf({ beta }), {
      scores,
      reference: tokensOf(reference, masks).map(sumTokens),
      totalPairs: scores.length,
    });
    close(outcomes.reduce((sum, { loss }) => sum + loss, 0) / scores.length, expected.loss);
    const gradients = tokensOf(expected.grad, masks);
    outcomes.forEach((outcome, i) => {
      const slopes = tokenSlopes(outcome.slopes, outcome);
      for (const side of ['chosen', 'rejected'] as const) {
        slopes[side].forEach((slope, t) => close(slope, gradients[i]?.[side][t] as number));
      }
    });
  });

  test('is ln 2 at zero margin', () => {
    const scores = [{ logProbs: { chosen: -3, rejected: -8 }, lengths: { chosen: 2, rejected: 3 } }];
    expect(lossAtZeroMargin(trainingOf(), scores)).toBe(Math.log(2));
  });
});
