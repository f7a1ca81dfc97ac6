import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { PairTokens } from '../../../trainer-image/loss/scores.ts';
import { checkLengths } from '../../../trainer-image/model/embedding.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { architectureOf } from '../../../trainer-image/model/models.ts';
import { writeSafetensors } from '../../../trainer-image/model/safetensors.ts';
import { trainingOf } from '../golden.ts';
import { checkpoint, pair, reference, type Case, type Sketch } from '../tiny-models.ts';

const example = { row: 0, prompt: pair.prompt, completion: pair.chosen };

const sketch = (data: Float32Array): Sketch => [
  Math.hypot(...data),
  data.reduce((sum, value, i) => sum + value * Math.sin(i + 1), 0),
  data.reduce((sum, value, i) => sum + value * Math.cos(2 * i + 1), 0),
];
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - (b[i] as number))).reduce((x, y) => Math.max(x, y), 0);

describe('what transformers computes with a tiny model, and its gradient by every weight:', () => {
  test.each(Object.entries(reference.cases))('%s', (_, known) => {
    const learner = new Learner(checkpoint(known), trainingOf());
    // All in one pass, both answers behind one prompt, in either order; transformers has a sequence for each.
    const swapped = { ...pair, chosen: pair.rejected, rejected: pair.chosen };
    const [own, other] = learner.tokenLogProbs([pair, swapped]) as [PairTokens, PairTokens];
    for (const [values, expected] of [
      [own.chosen, known.chosen],
      [own.rejected, known.rejected],
      [other.chosen, known.rejected],
      [other.rejected, known.chosen],
    ] as const) {
      expect(values).toHaveLength(expected.length);
      expect(apart(values, expected)).toBeLessThan(1e-4);
    }
    learner.accumulateSft([example], pair.chosen.length);
    const gradients = learner.readGradients();
    expect(gradients.map(({ name }) => name).sort()).toEqual(Object.keys(known.gradients).sort());
    for (const { name, data } of gradients) {
      const expected = known.gradients[name] as Sketch;
      const off = apart(sketch(data), expected) / expected[0];
      if (!(off < 1e-4)) throw new Error(`the gradient of ${name} is off by ${off} of its norm`);
    }
  });

  /** Settings that do not matter at these lengths. */
  const alike = [
    ['llama', 'llama, dynamic rope, just short enough', 'llama, dynamic rope, short'],
    ['mistral, no window', 'mistral, default window'],
  ];

  test('with every setting of a case making a difference', () => {
    const entries = Object.entries(reference.cases);
    entries.forEach(([name, one], i) => {
      for (const [second, other] of entries.slice(i + 1).filter(([, { weights }]) => weights === one.weights)) {
        const expected = alike.some((list) => list.includes(name) && list.includes(second));
        expect([name, second, apart(one.chosen, other.chosen) < 1e-3]).toEqual([name, second, expected]);
      }
    });
  });
});

test('every architecture of the table has a case', () => {
  const covered = new Set(Object.values(reference.cases).map(({ weights }) => weights));
  expect(() => architectureOf({ model_type: 'none' })).toThrow(`known: ${[...covered].join(', ')}`);
});

describe('a checkpoint', () => {
  const { gpt2 } = reference.cases as { gpt2: Case };

  test('of the base model alone, without its prefix in the names, is loaded as transformers does', () => {
    const made = checkpoint(gpt2);
    const whole = new Learner(made, trainingOf());
    const bare = whole.weights().map((weight) => ({ ...weight, name: weight.name.replace('transformer.', '') }));
    expect(bare.map(({ name }) => name)).toContain('h.0.attn.c_attn.weight');
    writeSafetensors(join(made, 'model.safetensors'), bare);
    const again = new Learner(made, trainingOf());
    expect(again.weights().map(({ name }) => name)).toEqual(whole.weights().map(({ name }) => name));
    expect(again.tokenLogProbs([pair])).toEqual(whole.tokenLogProbs([pair]));
  });

  test('with learned positions refuses a length that is more, by the name of its field', () => {
    const check = (lengths: Record<string, number>) => () => checkLengths(architectureOf(gpt2.config), lengths);
    expect(check({ 'training.maxLength': 44 })).not.toThrow();
    expect(check({ 'training.maxLength': 44, 'sft.maxLength': 45 })).toThrow(
      'sft.maxLength 45 is more than the 44 positions that the model knows: lower it',
    );
    const unbounded = architectureOf((reference.cases as { llama: Case }).llama.config);
    expect(() => checkLengths(unbounded, { 'training.maxLength': 1e6 })).not.toThrow();
  });
});
