import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { read, scope, tensor, type Tensor } from '../../../trainer-image/engine/engine.ts';
import { losses } from '../../../trainer-image/loss/losses.ts';
import { goldenFolder } from '../golden.ts';

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
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

describe("the loss and its gradient on TRL's made-up log-probabilities", () => {
  test.each(cases)('$name on $set', ({ set, beta, expected }) => {
    const { policy_logps: policy, ref_logps: reference } = golden.sets[set] as LossSet;
    const ratios = policy.map((row, i) => sum(row) - sum(reference[i] as number[]));
    const pairs = ratios.length / 2;
    const { loss, chosen, rejected } = scope(() => {
      const column = (values: number[]): Tensor => tensor(Float32Array.from(values), [pairs, 1]);
      const result = losses.sigmoid.pairLoss(
        { chosen: column(ratios.slice(0, pairs)), rejected: column(ratios.slice(pairs)) },
        tensor(Float32Array.of(beta), []),
      );
      return { loss: [...read(result.loss)], chosen: [...read(result.chosen)], rejected: [...read(result.rejected)] };
    });
    const mean = sum(loss) / pairs;
    expect(Math.abs(mean - expected.loss)).toBeLessThanOrEqual(1e-6 + 1e-5 * Math.abs(expected.loss));
    const slopes = [...chosen, ...rejected].map((slope) => slope / pairs);
    expected.grad.forEach((row, i) => {
      for (const value of row.filter((each) => each !== 0)) {
        expect(Math.abs((slopes[i] as number) - value)).toBeLessThanOrEqual(1e-6 + 1e-5 * Math.abs(value));
      }
    });
  });

  test('is ln 2 at zero margin', () => {
    expect(losses.sigmoid.atZeroMargin).toBe(Math.log(2));
  });
});
