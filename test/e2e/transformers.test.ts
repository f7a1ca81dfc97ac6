import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { layOut } from '../../trainer-image/data/layout.ts';
import { ops, read, scope } from '../../trainer-image/engine/engine.ts';
import { exportAdapter } from '../../trainer-image/export/adapter.ts';
import { exportModel } from '../../trainer-image/export/export.ts';
import { headHidden } from '../../trainer-image/model/head.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { targetLayers } from '../../trainer-image/model/lora.ts';
import { Network } from '../../trainer-image/model/network.ts';
import { pythonPackages } from '../python/install.ts';
import { apart, trainingOf } from '../trainer-image/golden.ts';
import { exported, prepare, trainer } from '../trainer-image/small-run.ts';
import { checkpoint, pair, reference, type Case } from '../trainer-image/tiny-models.ts';

/** What is exported is opened by transformers, as a user would, with nothing missing and the same logits. */
interface Question {
  folder: string;
  ids: readonly number[];
  messages?: { role: string; content: string }[];
  /** Folder of a PEFT adapter on top. */
  adapter?: string;
}
interface Answer {
  dtype: string;
  problems: Record<string, string[]>;
  chat: string | null;
  logits: number[][];
}

const messages = [
  { role: 'user', content: 'Which way is north?' },
  { role: 'assistant', content: 'Where the needle points.' },
];

/** One Python process for all: importing transformers takes longer than all that is asked of it. */
function openWithTransformers(questions: readonly Question[]): Answer[] {
  const { status, stdout, stderr } = spawnSync('python3', ['test/python/logits.py'], {
    input: JSON.stringify(questions),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, PYTHONPATH: pythonPackages(), HF_HUB_OFFLINE: '1', CUDA_VISIBLE_DEVICES: '' },
  });
  if (status !== 0) throw new Error(`python3 ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Answer[];
}

/** Our own logits of every position but the last, [ids - 1, vocabulary]. */
function ownLogits({ folder, ids }: Question): { values: Float32Array; width: number } {
  const layout = layOut(
    [{ prompt: Int32Array.from(ids.slice(0, 1)), completions: [Int32Array.from(ids.slice(1))] }],
    1e6,
  );
  const head = layout.heads[0];
  if (head === undefined) throw new Error('a layout without a head');
  return scope(() => {
    const { output, weights } = new Network(folder).forward(layout);
    const logits = ops.matmul(headHidden(head, output, weights), weights.projection, false, true);
    return { values: read(logits) as Float32Array, width: logits.shape[1] as number };
  });
}

/** Trains a tiny model for a step, so that no weight is as it was, and exports it. */
function trainedExport(known: Case): string {
  const source = checkpoint(known);
  const learner = new Learner(source, trainingOf());
  learner.startStage();
  learner.accumulateSft([{ row: 0, prompt: pair.prompt, completion: pair.chosen }], pair.chosen.length);
  learner.update(1, 1e-2);
  const output = join(source, 'out');
  exportModel(source, output, { raw: learner.network.raw, weights: learner.weights() }, { mayCommit: () => {} });
  return output;
}

const lora = { rank: 4, alpha: 8, dropout: 0, useRslora: true, useDora: true };

/** Trains an adapter for two steps, and exports it and the merged model. */
function trainedAdapter(known: Case): { adapter: string; folder: string; merged: string } {
  const folder = checkpoint(known);
  const training = trainingOf({ lora });
  const learner = new Learner(folder, training);
  learner.startStage();
  for (const step of [1, 2]) {
    learner.accumulateSft([{ row: 0, prompt: pair.prompt, completion: pair.chosen }], pair.chosen.length);
    learner.update(step, 1e-2);
  }
  const [adapter, merged] = [join(folder, 'adapter'), join(folder, 'merged')];
  const { blockShapes, denseLayout } = learner.network.architecture;
  const targets = targetLayers(blockShapes, undefined);
  const fanInFanOut = denseLayout === 'in-out';
  const parts = { settings: lora, targets, weights: learner.weights(), base: 'pvc://models/m', fanInFanOut };
  exportAdapter(adapter, parts, { mayCommit: () => {} });
  exportModel(folder, merged, { raw: learner.network.raw, weights: learner.mergedWeights() }, { mayCommit: () => {} });
  return { adapter, folder, merged };
}

/** One case of each architecture: the first of those that share weights. */
const architectures = Object.values(reference.cases).filter(
  ({ weights }, i, all) => all.findIndex((other) => other.weights === weights) === i,
);

const adapted = architectures.filter(({ weights }) => ['llama', 'gpt2', 'phi3'].includes(weights));

describe('an exported model, opened by transformers', () => {
  const asked = new Map<string, Question>();
  const answers = new Map<string, Answer>();

  beforeAll(async () => {
    const volumes = prepare();
    const { code, output } = await trainer(volumes);
    if (code !== 0) throw new Error(output);
    expect(exported(volumes)).toMatch(/^[0-9a-f]{64}$/);
    const ids = [1, 17, 300, 4000, 5, 5, 1023, 2, 77, 8, 1500, 42];
    asked.set('a whole run', { folder: join(volumes, 'models', 'out'), ids, messages });
    for (const known of architectures) {
      asked.set(known.weights, { folder: trainedExport(known), ids: [...pair.prompt, ...pair.chosen] });
    }
    for (const known of adapted) {
      const { adapter, folder, merged } = trainedAdapter(known);
      const ids = [...pair.prompt, ...pair.chosen];
      asked.set(`${known.weights}, merged`, { folder: merged, ids });
      asked.set(`${known.weights}, adapter`, { folder, adapter, ids });
    }
    const given = openWithTransformers([...asked.values()]);
    [...asked.keys()].forEach((name, i) => answers.set(name, given[i] as Answer));
  }, 300_000);

  test.each(['a whole run', ...architectures.map(({ weights }) => weights)])(
    '(%s) has every weight it should, in float32, and gives the same logits within 1e-4',
    (name) => {
      const answer = answers.get(name) as Answer;
      expect([answer.problems, answer.dtype]).toEqual([{}, 'torch.float32']);
      const { values, width } = ownLogits(asked.get(name) as Question);
      const theirs = answer.logits.slice(0, -1).flat();
      expect(width).toBe(answer.logits[0]?.length);
      expect(values).toHaveLength(theirs.length);
      const largest = theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - (values[i] as number))), 0);
      expect(largest).toBeLessThan(1e-4);
      // Logits that are all alike would agree with anything.
      expect(Math.max(...theirs) - Math.min(...theirs)).toBeGreaterThan(0.5);
    },
  );

  test.each(adapted.map(({ weights }) => weights))(
    '(%s) with an exported adapter, loaded by PEFT, gives the logits of the merged model within 1e-4',
    (name) => {
      const [own, theirs] = ['merged', 'adapter'].map((kind) => answers.get(`${name}, ${kind}`)?.logits.flat() ?? []);
      const { values } = ownLogits(asked.get(`${name}, merged`) as Question);
      expect(own?.length).toBe(theirs?.length);
      expect(apart(own as number[], theirs as number[])).toBeLessThan(1e-4);
      expect(apart(values, theirs as number[])).toBeLessThan(1e-4);
    },
  );

  test('carries its chat template', () => {
    for (const { content } of messages) expect(answers.get('a whole run')?.chat).toContain(content);
  });
});
