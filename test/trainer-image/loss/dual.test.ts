import { describe, expect, test } from '@jest/globals';
import { Dual } from '../../../trainer-image/loss/dual.ts';

type Function = (x: Dual) => Dual;

describe('a number with its derivatives', () => {
  const functions: [string, Function, number[]][] = [
    ['plus', (x) => x.plus(x).plus(3), [-2, 0.5]],
    ['minus', (x) => new Dual(1).minus(x), [-2, 0.5]],
    ['times', (x) => x.times(x).times(-3), [-2, 0.5]],
    ['squared', (x) => x.squared(), [-2, 0.5]],
    ['exp', (x) => x.exp(), [-2, 0.5]],
    ['expm1', (x) => x.expm1(), [-2, 0.5]],
    ['sigmoid', (x) => x.sigmoid(), [-30, -2, 0, 3]],
    ['logSigmoid', (x) => x.logSigmoid(), [-30, -2, 0, 3]],
    ['relu', (x) => x.relu(), [-2, 3]],
    ['atMost', (x) => x.atMost(1), [-2, 3]],
    ['log1mexp', (x) => x.log1mexp(), [-5, -0.7, -0.6, -0.1]],
  ];
  test.each(functions)('has those of %s, by central differences', (_, f, points) => {
    const h = 1e-6;
    for (const at of points) {
      const result = f(new Dual(at, 2, -3));
      const slope = (f(new Dual(at + h)).value - f(new Dual(at - h)).value) / (2 * h);
      expect(result.chosen).toBeCloseTo(2 * slope, 6);
      expect(result.rejected).toBeCloseTo(-3 * slope, 6);
    }
  });

  test('keeps its digits in the tails', () => {
    expect(new Dual(-1000).logSigmoid().value).toBe(-1000);
    expect(new Dual(1000).logSigmoid().value).toBeCloseTo(0, 12);
    expect(new Dual(-745).sigmoid().value).toBeGreaterThan(0);
    expect(new Dual(1e-20).expm1().value).toBe(1e-20);
    expect(new Dual(-1e-5).log1mexp().value).toBeCloseTo(Math.log(1e-5), 4);
  });

  test('has torch’s derivative at a corner', () => {
    expect(new Dual(0, 1, 1).relu().chosen).toBe(0);
    expect(new Dual(80, 1, 1).atMost(80).chosen).toBe(1);
  });

  test('stays finite where float32 rounds a log-probability to 0 or beyond', () => {
    for (const value of [0, 1e-7]) {
      const result = new Dual(value, 1, 0).log1mexp();
      expect([result.value, result.chosen].every(Number.isFinite)).toBe(true);
    }
  });
});
