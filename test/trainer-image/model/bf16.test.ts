import { afterEach, describe, expect, test } from '@jest/globals';
import { scope, setEager, setRoundedShapes } from '../../../trainer-image/engine/engine.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { generate } from '../../../trainer-image/model/generate.ts';
import { adapterCases, settingsOf, type LoraCase } from '../../parity/adapters.ts';
import { autocast, bf16Batch } from '../../parity/bf16.ts';
import { requireWithin } from '../../parity/compared.ts';
import { bf16, requireNearAdapted, requireNearRounded, valuesOf } from '../alike.ts';
import { goldenFolder, goldenPairs, relativeDistance } from '../golden.ts';
import { checkpoint, pair, reference } from '../tiny-models.ts';

afterEach(() => {
  setEager(false);
  setRoundedShapes(false);
});

describe('in bfloat16 the fixed batch is as near to float32 as torch.autocast is:', () => {
  test.each(['tiny', 'tiny-gpt2'] as const)('%s', (model) => {
    requireWithin(bf16Batch(model));
    // Else nothing was rounded, and the comparison says nothing.
    expect(Math.abs((bf16Batch(model).loss?.[0]?.own as number) - autocast.models[model].loss32)).toBeGreaterThan(1e-5);
  });
});

/** All others: test/runs/alike.test.ts. */
describe('in bfloat16 a model is near to itself in float32:', () => {
  test.each(['llama', 'gpt2', 'gemma3_text, nested form'])('%s', requireNearRounded);
  test.each(['llama', 'qwen3, DoRA'])('adapters, %s', requireNearAdapted);
});

describe('in bfloat16 the gradient is the same', () => {
  const folder = checkpoint(reference.cases['llama']!);
  test.each([
    ['operation by operation', () => setEager(true)],
    ['with padding', () => setRoundedShapes(true)],
  ])('%s', (_, change) => {
    const learner = new Learner(folder, bf16);
    const recorded = valuesOf(learner);
    change();
    const changed = valuesOf(learner);
    for (const [name, data] of changed.gradients) {
      expect([name, relativeDistance(data, recorded.gradients.get(name) as Float32Array) < 2e-2]).toEqual([name, true]);
    }
  });
});

test('in bfloat16 weights stay float32: steps smaller than bfloat16 tells apart add up', () => {
  const learner = new Learner(`${goldenFolder}/tiny-policy`, { ...bf16, loss: [{ type: 'sft', weight: 1 }] });
  learner.startStage();
  const before = learner.weights().map(({ read }) => read());
  learner.accumulateSft([{ row: 0, prompt: goldenPairs[0]!.prompt, completion: goldenPairs[0]!.chosen }], 10);
  learner.update(1, 1e-7);
  const moved = learner.weights().filter(({ read }, i) => relativeDistance(read(), before[i] as Float32Array) > 0);
  expect(moved).toHaveLength(before.length);
});

describe('beside adapters, in bfloat16,', () => {
  const folder = checkpoint(reference.cases['llama']!);
  const plain = new Learner(folder, bf16);
  const adapted = new Learner(folder, { ...bf16, lora: settingsOf(adapterCases['llama'] as LoraCase) });
  const typesOf = ({ network }: Learner): Set<string> =>
    new Set(network.variables.filter(({ shape }) => shape.length === 2).map((one) => scope(() => one.read()).dtype));

  test('the weights of a bfloat16 checkpoint take half the memory, and are trained in float32 without adapters', () => {
    expect([...typesOf(adapted), ...typesOf(plain)]).toEqual(['bfloat16', 'float32']);
  });

  test('nothing is lost: what is computed, and what is exported, is the same', () => {
    expect(adapted.tokenLogProbs([pair])).toEqual(plain.tokenLogProbs([pair]));
    const exported = adapted.mergedWeights().map(({ name, read }) => [name, read()]);
    expect(exported).toEqual(plain.mergedWeights().map(({ name, read }) => [name, read()]));
  });

  test('weights that bfloat16 does not hold stay float32', () => {
    const lora = settingsOf(adapterCases['llama'] as LoraCase);
    expect([
      ...typesOf(new Learner(`${goldenFolder}/tiny-policy`, { ...bf16, lora: { ...lora, targetModules: ['q_proj'] } })),
    ]).toEqual(['float32']);
  });
});

test('in bfloat16 answers are generated', () => {
  const { network } = new Learner(`${goldenFolder}/tiny-policy`, bf16);
  const options = { maxNewTokens: 3, stop: new Set<number>(), budget: 1000, beat: () => {} };
  expect(generate(network, [goldenPairs[0]!.prompt], options)[0]?.tokens).toHaveLength(3);
});
