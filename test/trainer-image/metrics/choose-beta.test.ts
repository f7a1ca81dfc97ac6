import { describe, expect, test } from '@jest/globals';
import { chooseBeta, type BetaResult } from '../../../trainer-image/metrics/choose-beta.ts';

const result = (beta: number, accuracy: number, kl: number): BetaResult => ({
  beta,
  accuracy,
  kl,
  loss: 0.6,
  margin: 0.1,
  chosenLogProbChange: -1,
});

// One standard error of an accuracy of 0.8 on 100 pairs is sqrt(0.8 * 0.2 / 100) = 0.04, and by Wilson at z = 1 0.0399.
describe('the beta of a sweep', () => {
  const cases: [string, BetaResult[], number][] = [
    [
      'is the one with the smallest KL within one standard error of the best accuracy',
      [result(0.05, 0.8, 0.9), result(0.1, 0.77, 0.3), result(0.5, 0.7, 0.01)],
      0.1,
    ],
    [
      'is the best where no other comes within one standard error',
      [result(0.05, 0.8, 0.9), result(0.1, 0.75, 0.3)],
      0.05,
    ],
    ['is never one of less accuracy at more KL', [result(0.05, 0.79, 0.9), result(0.1, 0.8, 0.3)], 0.1],
    ['is the higher one of two that are equal in both', [result(0.1, 0.8, 0.3), result(0.5, 0.8, 0.3)], 0.5],
    ['does not hang on the order', [result(0.5, 0.7, 0.01), result(0.1, 0.77, 0.3), result(0.05, 0.8, 0.9)], 0.1],
  ];
  test.each(cases)('%s', (_, results, beta) => {
    expect(chooseBeta(results, 100).beta).toBe(beta);
  });

  test('comes with its reason', () => {
    expect(chooseBeta([result(0.05, 0.8, 0.9), result(0.1, 0.77, 0.3), result(0.5, 0.7, 0.01)], 100).reason).toBe(
      'accuracy 0.77 at a KL of 0.3, the smallest of 2 within one standard error (0.0399, 100 pairs) of the best accuracy, 0.8',
    );
  });

  // Wilson at z = 1: (1 / (2 * 53)) / (1 + 1 / 53) = 0.00926.
  test('says that betas which all win every pair do not differ, and takes the smallest KL', () => {
    const { beta, reason } = chooseBeta([result(0.05, 1, 0.9), result(0.1, 1, 0.3)], 53);
    expect([beta, reason]).toEqual([
      0.1,
      'accuracy 1 at a KL of 0.3, the smallest KL; the 2 betas do not differ on accuracy (1, standard error 0.00926 on 53 pairs): widen their range, or hold out more pairs, to tell them apart',
    ]);
  });

  test('is the lower one of two equal ones for ORPO, whose beta moves the policy', () => {
    expect(chooseBeta([result(0.1, 0.8, 0.3), result(0.5, 0.8, 0.3)], 100, false).beta).toBe(0.1);
  });

  test('comes with a warning when no accuracy is better than chance', () => {
    expect(chooseBeta([result(0.1, 0.53, 0.3)], 100).reason).toMatch(/none is better than chance on 100 pairs/);
    expect(chooseBeta([result(0.1, 0.8, 0.3)], 100).reason).not.toMatch(/chance/);
  });

  test('needs a result', () => {
    expect(() => chooseBeta([], 100)).toThrow('no beta to choose from');
  });
});
