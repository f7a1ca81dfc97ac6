import { describe, expect, test } from '@jest/globals';
import { architectureOf } from '../../trainer-image/model/models.ts';
import { withLora } from '../../trainer-image/model/lora.ts';
import { adapterWeightShapes, weightShapes } from '../../trainer-image/model/weight-shapes.ts';
import { asked } from '../scale/asked.ts';
import { memoryOf, peakOf } from '../scale/memory.ts';
import { measured } from '../scale/page.ts';
import { adapterParameters, configOf, models, parameters, type ScaleShape } from '../scale/shapes.ts';

const numbers = (shapes: [string, readonly number[]][]): number =>
  shapes.reduce((all, [, shape]) => all + shape.reduce((a, b) => a * b, 1), 0);

describe('docs/scale.md', () => {
  test.each([
    ['SmolLM2-135M', 134.5],
    ['SmolLM2-360M', 361.8],
    ['SmolLM2-1.7B', 1711.4],
    ['SmolLM3-3B', 3075.1],
    ['Llama-3.1-8B', 8030.3],
  ])('counts the weights of %s as published: %d million', (name, millions) => {
    expect(parameters(models[name] as ScaleShape) / 1e6).toBeCloseTo(millions, 1);
  });

  test.each(Object.entries(models))('counts what the trainer would load and train of %s', (_, shape) => {
    const architecture = architectureOf(configOf(shape));
    expect(parameters(shape)).toBe(numbers(weightShapes(architecture)));
    const lora = { rank: 16, alpha: 16, dropout: 0, useRslora: false, useDora: false };
    expect(adapterParameters(shape, 16)).toBe(numbers(adapterWeightShapes(withLora(architecture, lora))));
  });

  test.each(measured)('works out what was measured, within 20 %: $way of $shape', ({ shape, way, peak }) => {
    expect(Math.abs(peakOf(memoryOf(shape, way)) / peak - 1)).toBeLessThan(0.2);
  });

  test('was checked in all ways that are measured', () => {
    const ways = measured.map(({ shape, way: { precision, rank, tokens, recomputed } }) => ({
      shape,
      way: { precision, rank, tokens, recomputed },
    }));
    expect(ways).toEqual(asked);
  });
});
