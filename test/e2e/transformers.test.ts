import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { layOut } from '../../trainer-image/data/layout.ts';
import { ops, read, scope } from '../../trainer-image/engine/engine.ts';
import { headHidden } from '../../trainer-image/model/head.ts';
import { Network } from '../../trainer-image/model/network.ts';
import { pythonPackages } from '../python/install.ts';
import { exported, prepare, trainer } from '../trainer-image/small-run.ts';

/** What a run exports is opened by transformers, as a user would, with nothing missing and the same logits. */
interface Answer {
  dtype: string;
  problems: Record<string, string[]>;
  chat: string;
  logits: number[][];
}

const ids = [1, 17, 300, 4000, 5, 5, 1023, 2, 77, 8, 1500, 42];
const messages = [
  { role: 'user', content: 'Which way is north?' },
  { role: 'assistant', content: 'Where the needle points.' },
];

function openWithTransformers(folder: string): Answer {
  const { status, stdout, stderr } = spawnSync('python3', ['test/python/logits.py', folder], {
    input: JSON.stringify({ ids, messages }),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, PYTHONPATH: pythonPackages(), HF_HUB_OFFLINE: '1', CUDA_VISIBLE_DEVICES: '' },
  });
  if (status !== 0) throw new Error(`python3 ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Answer;
}

/** Our own logits of every position but the last, [ids - 1, vocabulary]. */
function ownLogits(folder: string): { values: Float32Array; width: number } {
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

describe('an exported model, opened by transformers', () => {
  let folder: string;
  let answer: Answer;

  beforeAll(async () => {
    const volumes = prepare();
    const { code, output } = await trainer(volumes);
    if (code !== 0) throw new Error(output);
    expect(exported(volumes)).toMatch(/^[0-9a-f]{64}$/);
    folder = join(volumes, 'models', 'out');
    answer = openWithTransformers(folder);
  }, 300_000);

  test('has every weight it should, in float32', () => {
    expect(answer.problems).toEqual({});
    expect(answer.dtype).toBe('torch.float32');
  });

  test('gives the same logits within 1e-4', () => {
    const { values, width } = ownLogits(folder);
    const theirs = answer.logits.slice(0, -1).flat();
    expect(width).toBe(answer.logits[0]?.length);
    expect(values).toHaveLength(theirs.length);
    const largest = theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - (values[i] as number))), 0);
    expect(largest).toBeLessThan(1e-4);
    // Logits that are all alike would agree with anything.
    expect(Math.max(...theirs) - Math.min(...theirs)).toBeGreaterThan(0.5);
  });

  test('carries its chat template', () => {
    for (const { content } of messages) expect(answer.chat).toContain(content);
  });
});
