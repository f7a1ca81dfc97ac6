import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { setKernels } from '../../../trainer-image/engine/engine.ts';
import { checkLengths } from '../../../trainer-image/model/embedding.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { architectureOf } from '../../../trainer-image/model/models.ts';
import { writeSafetensors } from '../../../trainer-image/model/safetensors.ts';
import { requireWithin } from '../../parity/compared.ts';
import { tinyModel } from '../../parity/models.ts';
import { apart, relativeDistance, trainingOf } from '../golden.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { checkpoint, pair, reference, type Case } from '../tiny-models.ts';

describe('what transformers computes with a tiny model, and its gradient by every weight:', () => {
  describe.each(kernelSetsHere)('(kernels: %s)', (set) => {
    beforeAll(() => setKernels(set));
    afterAll(() => setKernels('none'));
    test.each(Object.entries(reference.cases))('%s', (_, known) => requireWithin(tinyModel(known)));

    const weights = Map.groupBy(Object.values(reference.cases), (known) => known.weights);
    test.each([...weights])('%s, added up in parts as at once', (_, [known]) => {
      const learner = new Learner(checkpoint(known as Case), trainingOf());
      const examples = [pair.chosen, pair.rejected].map((completion) => ({ row: 0, prompt: pair.prompt, completion }));
      learner.accumulateSft(examples, 9);
      const whole = learner.readGradients();
      learner.dropGradients();
      for (const example of examples) learner.accumulateSft([example], 9);
      learner.readGradients().forEach(({ name, data }, i) => {
        expect([name, relativeDistance(data, whole[i]?.data as Float32Array) < 1e-5]).toEqual([name, true]);
      });
    });
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
