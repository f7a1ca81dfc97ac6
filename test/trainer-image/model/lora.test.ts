import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { specSchema } from '../../../crds/dpojob.ts';
import { layOut } from '../../../trainer-image/data/layout.ts';
import { liveTensors, scope, setEager, setKernels } from '../../../trainer-image/engine/engine.ts';
import { adapterConfig, exportAdapter } from '../../../trainer-image/export/adapter.ts';
import type { PairTokens } from '../../../trainer-image/loss/scores.ts';
import { blockFor } from '../../../trainer-image/model/block.ts';
import { Learner } from '../../../trainer-image/model/learner.ts';
import { targetLayers, type LoraSettings } from '../../../trainer-image/model/lora.ts';
import { rotationOf, sequenceLengths } from '../../../trainer-image/model/rope.ts';
import { SafetensorsFile, writeSafetensors } from '../../../trainer-image/model/safetensors.ts';
import { adapter, adapterCases, folder, learnerOf, modelOf, settingsOf, type LoraCase } from '../../parity/adapters.ts';
import { requireWithin } from '../../parity/compared.ts';
import { apart, relativeDistance, trainingOf } from '../golden.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { pair } from '../tiny-models.ts';

const cases = Object.entries(adapterCases);

function expectAsKnown(learner: Learner, known: LoraCase, tolerance = 1e-4): void {
  const [found] = learner.tokenLogProbs([pair]) as [PairTokens];
  expect(apart(found.chosen, known.chosen)).toBeLessThan(tolerance);
  expect(apart(found.rejected, known.rejected)).toBeLessThan(tolerance);
}

// Where products can be joined, an adapter is multiplied otherwise.
describe.each(kernelSetsHere)('with kernels %s:', (set) => {
  beforeEach(() => setKernels(set));
  afterEach(() => setKernels('none'));

  describe.each(cases)('an adapter that PEFT made: %s', (_, known) => {
    test.each([false, true])('gives its log-probabilities, and gradients by its weights alone (eager: %s)', (eager) => {
      setEager(eager);
      try {
        requireWithin(adapter(known));
      } finally {
        setEager(false);
      }
    });

    test('merged into the weights gives the same without an adapter', () => {
      const model = modelOf(known);
      const merged = learnerOf(known, model).mergedWeights();
      const shown = merged.map((weight) => ({ ...weight, values: weight.read() }));
      writeSafetensors(
        join(model, 'model.safetensors'),
        shown.map(({ values, ...weight }) => ({ ...weight, read: () => values })),
      );
      expectAsKnown(new Learner(model, trainingOf()), known);
    });

    test('is exported under the names and in the shapes in which PEFT saved it', () => {
      const learner = learnerOf(known);
      const output = mkdtempSync(join(tmpdir(), 'adapter-'));
      const { blockShapes, denseLayout } = learner.network.architecture;
      const settings = settingsOf(known);
      const targets = targetLayers(blockShapes, settings.targetModules);
      const adapter = {
        settings,
        targets,
        weights: learner.weights(),
        base: 'hf://org/name@abc',
        fanInFanOut: denseLayout === 'in-out',
      };
      exportAdapter(output, adapter, { mayCommit: () => {} });
      const [made, theirs] = [join(output, 'adapter_model.safetensors'), join(folder, known.file)].map(
        (file) => new SafetensorsFile(file),
      ) as [SafetensorsFile, SafetensorsFile];
      expect(made.names.toSorted()).toEqual(theirs.names.toSorted());
      for (const name of theirs.names) expect(made.read(name)).toEqual(theirs.read(name));
      const config = JSON.parse(readFileSync(join(output, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
      expect(config).toMatchObject({ peft_type: 'LORA', r: settings.rank, base_model_name_or_path: 'org/name' });
    });

    test.each([
      ['hf://org/name@refs', 'org/name'],
      ['pvc://models/m@1', 'pvc://models/m@1'],
      ['https://host/a@b/m?sig=secret', 'https://host/a@b/m'],
    ])('made for %s names it as %s', (base, name) => {
      expect(adapterConfig({ settings: settingsOf(known), targets: [], base, fanInFanOut: false })).toMatchObject({
        base_model_name_or_path: name,
      });
    });

    test('before training changes nothing, and is the same for the same seed', () => {
      const model = modelOf(known);
      const [a, b, other] = [42, 42, 43].map(
        (seed) => new Learner(model, trainingOf({ lora: settingsOf(known), seed })),
      ) as [Learner, Learner, Learner];
      const plain = new Learner(model, trainingOf()).tokenLogProbs([pair])[0] as PairTokens;
      expect(apart((a.tokenLogProbs([pair])[0] as PairTokens).chosen, plain.chosen)).toBeLessThan(1e-6);
      const values = (learner: Learner): Float32Array[] => learner.weights().map(({ read }) => read());
      expect(values(a)).toEqual(values(b));
      expect(values(a)).not.toEqual(values(other));
    });
  });

  test.each([false, true])(
    'a step keeps no more than without adapters, but for their small inner products (DoRA: %s)',
    (useDora) => {
      const [, known] = cases[0] as [string, LoraCase];
      const model = modelOf(known);
      const keptPerToken = (lora?: LoraSettings): number => {
        const { network } = new Learner(model, trainingOf(lora === undefined ? {} : { lora }));
        const n = pair.prompt.length;
        const layout = layOut([{ prompt: pair.prompt, completions: [] }], Infinity);
        const kind = network.architecture.kind(0);
        const rotation = kind.rope && rotationOf(kind.rope, layout.positions, sequenceLengths(layout.segments));
        return scope(() => {
          const block = blockFor(network.architecture, kind, { segments: layout.segments, rotation });
          const { saved } = network.withWeights(0, (weights) => block.forward(network.embed(layout), weights));
          return saved.reduce((sum, { output: { shape } }) => sum + (shape[0] === n ? (shape[1] as number) : 0), 0);
        });
      };
      const settings = { ...settingsOf(known), useDora };
      const layers = targetLayers(new Learner(model, trainingOf()).network.architecture.blockShapes, undefined).length;
      const most = keptPerToken() + layers * settings.rank;
      expect(keptPerToken(settings)).toBeLessThanOrEqual(useDora ? 2 * most : most);
    },
  );

  test('beside adapters the held-out KL keeps no copy of the vocabulary projection', () => {
    const [, known] = cases[0] as [string, LoraCase];
    const learner = learnerOf(known);
    // From the first pass on the variables hold their values.
    learner.tokenLogProbs([pair]);
    const before = liveTensors();
    learner.heldOutKl.capture([pair]);
    // The hidden states of one pair and nothing else.
    expect(liveTensors()).toBe(before + 1);
    expect(learner.heldOutKl.measure([pair]).sum).toBeCloseTo(0, 5);
  });

  describe('dropout', () => {
    const [, known] = cases[0] as [string, LoraCase];
    const gradientsOf = (learner: Learner, step: number): Float32Array[] => {
      learner.beginStep(step);
      learner.accumulateSft([{ row: 0, prompt: pair.prompt, completion: pair.chosen }], pair.chosen.length);
      const found = learner.readGradients().map(({ data }) => data);
      learner.dropGradients();
      return found;
    };
    const dropping = (useDora: boolean): Learner => {
      const learner = new Learner(modelOf(known), trainingOf({ lora: { ...settingsOf(known, 0.5), useDora } }));
      // B is zero at first, and nothing would come of what is dropped.
      const values = new Map(learner.weights().map(({ name, read }) => [name, read()]));
      learner.restoreWeights((name) => {
        const own = values.get(name) as Float32Array;
        return name.endsWith('lora_B.weight') ? own.map((_, i) => Math.sin(i) / 5) : own;
      });
      return learner;
    };

    test.each([false, true])(
      'has masks of its step’s own, the same when the step is taken again (DoRA: %s)',
      (useDora) => {
        const learner = dropping(useDora);
        const first = gradientsOf(learner, 3);
        expect(gradientsOf(learner, 4)).not.toEqual(first);
        expect(gradientsOf(learner, 3)).toEqual(first);
      },
    );

    test('is off where nothing is trained', () => {
      const plain = new Learner(modelOf(known), trainingOf({ lora: settingsOf(known) }));
      const learner = dropping(false);
      const values = new Map(learner.weights().map(({ name, read }) => [name, read()]));
      plain.restoreWeights((name) => values.get(name) as Float32Array);
      expect(learner.tokenLogProbs([pair])).toEqual(plain.tokenLogProbs([pair]));
    });

    test.each([false, true])('gives the gradient of what it computes: its slope along itself (DoRA: %s)', (useDora) => {
      // Numeric derivative along the gradient itself, with the masks of one step.
      const learner = dropping(useDora);
      const loss = (): number => {
        learner.beginStep(7);
        const sum = learner.accumulateSft(
          [{ row: 0, prompt: pair.prompt, completion: pair.chosen }],
          pair.chosen.length,
        );
        return sum / pair.chosen.length;
      };
      loss();
      // DoRA holds the norm of its direction constant: only along the magnitudes is its gradient the loss's own.
      const moves = (name: string): boolean => !useDora || name.endsWith('magnitude_vector');
      const gradient = new Map(
        learner.readGradients().map(({ name, data }) => [name, data.map((value) => (moves(name) ? value : 0))]),
      );
      const squares = [...gradient.values()].reduce((sum, data) => sum + data.reduce((s, v) => s + v * v, 0), 0);
      const start = new Map(learner.weights().map(({ name, read }) => [name, read()]));
      const at = (length: number): number => {
        learner.dropGradients();
        learner.restoreWeights((name) => {
          const slope = gradient.get(name) as Float32Array;
          return (start.get(name) as Float32Array).map((value, i) => value + length * (slope[i] as number));
        });
        return loss();
      };
      const h = 1e-2;
      expect((at(h) - at(-h)) / (2 * h) / squares).toBeCloseTo(1, 2);
    });
  });

  test('a backward takes what its own forward kept, also when a smaller micro-batch, which multiplies otherwise, came between', () => {
    const [, known] = cases[0] as [string, LoraCase];
    const example = { row: 0, prompt: pair.prompt.slice(2), completion: pair.chosen };
    const gradientsOf = (learner: Learner): Float32Array[] => {
      learner.accumulateSft([example], example.completion.length);
      return learner.readGradients().map(({ data }) => data);
    };
    setEager(true);
    const expected = gradientsOf(learnerOf(known));
    setEager(false);
    const learner = learnerOf(known);
    learner.exampleLogProb([example]);
    learner.exampleLogProb([{ row: 1, prompt: pair.prompt.slice(0, 2), completion: pair.chosen.slice(0, 2) }]);
    gradientsOf(learner).forEach((own, i) =>
      expect(relativeDistance(own, expected[i] as Float32Array)).toBeLessThan(1e-4),
    );
  });

  test('a target that the model does not have is refused, with those that it has', () => {
    const [, known] = cases[0] as [string, LoraCase];
    const lora = { ...settingsOf(known), targetModules: ['q_proj', 'c_attn'] };
    expect(() => new Learner(modelOf(known), trainingOf({ lora }))).toThrow(
      /spec\.training\.lora\.targetModules: this model has no c_attn; it has q_proj, k_proj, .*down_proj/,
    );
  });

  test('the defaults are PEFT’s and TRL’s', () => {
    const { training } = specSchema.parse({
      model: { source: 'pvc://m/m' },
      dataset: { source: 'pvc://d/d.jsonl' },
      output: { source: 'pvc://m/o', format: 'adapter' },
      training: { lora: {} },
    });
    expect(training.lora).toEqual({ rank: 16, alpha: 32, dropout: 0, useRslora: false, useDora: false });
  });
});
