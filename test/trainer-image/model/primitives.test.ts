import * as tf from '@tensorflow/tfjs-node-gpu';
import { describe, expect, test } from '@jest/globals';
import { ops, read, scope, tensor, type Tensor } from '../../../trainer-image/engine/engine.ts';
import { attention } from '../../../trainer-image/model/attention.ts';
import { add, gatedSilu, linear, rmsNorm, rope } from '../../../trainer-image/model/primitives.ts';
import { Tape } from '../../../trainer-image/model/tape.ts';
import { relativeDistance } from '../golden.ts';

/** Each primitive's own backward against tfjs's automatic differentiation of the same formula. */
interface Case {
  shapes: number[][];
  ours: (tape: Tape, inputs: Tensor[]) => Tensor;
  oracle: (inputs: tf.Tensor[]) => tf.Tensor;
}

/** Values between -1 and 1, the same at every run. */
function values(shape: readonly number[], seed: number): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 13 * seed) * Math.cos(0.3 * i * seed));
}

const angles = values([7, 2], 9).map((value) => 3 * value);
const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)];

/** Hugging Face's rotate_half on [n, heads, size]. */
function rotate(x: tf.Tensor, heads: number): tf.Tensor {
  const [n, width] = x.shape as [number, number];
  const half = width / heads / 2;
  const [a, b] = tf.split(x.reshape([n, heads, 2 * half]), 2, 2) as [tf.Tensor, tf.Tensor];
  const [c, s] = [tf.tensor(cos, [n, 1, half]), tf.tensor(sin, [n, 1, half])];
  return tf.concat([a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))], 2).reshape([n, width]);
}

/** Plain causal attention of one sequence, key heads repeated for their query heads. */
function plainAttention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, heads: { query: number; keyValue: number }) {
  const n = q.shape[0] as number;
  const perHead = (x: tf.Tensor, count: number) => x.reshape([n, count, -1]).transpose([1, 0, 2]);
  const repeat = (x: tf.Tensor) => {
    const parts = tf.split(perHead(x, heads.keyValue), heads.keyValue, 0);
    return tf.concat(
      parts.flatMap((part) => Array.from({ length: heads.query / heads.keyValue }, () => part)),
      0,
    );
  };
  const queries = perHead(q, heads.query);
  const scores = tf.matMul(queries, repeat(k), false, true).div(Math.sqrt(queries.shape[2] as number));
  const mask = tf.linalg
    .bandPart(tf.ones([n, n]), -1, 0)
    .sub(1)
    .mul(1e9);
  return tf
    .matMul(tf.softmax(scores.add(mask)), repeat(v))
    .transpose([1, 0, 2])
    .reshape([n, -1]);
}

const heads = { query: 4, keyValue: 2, size: 2 };
/** A prompt of 3 with answers of 2 and 1, and one of 1 with an answer of 2: 9 tokens. */
const segments = [
  { prompt: 3, completions: [2, 1] },
  { prompt: 1, completions: [2] },
];

/** The same, each answer in a sequence of its own behind a copy of its prompt. */
function plainSequences([q, k, v]: tf.Tensor[]): tf.Tensor {
  const rows = (x: tf.Tensor, list: number[]) => tf.gather(x, tf.tensor1d(list, 'int32'));
  const run = (list: number[]) =>
    plainAttention(rows(q as tf.Tensor, list), rows(k as tf.Tensor, list), rows(v as tf.Tensor, list), heads);
  const [first, second, third] = [run([0, 1, 2, 3, 4]), run([0, 1, 2, 5]), run([6, 7, 8])];
  return tf.concat([first, tf.slice(second, [3, 0], [1, -1]), third], 0);
}

const cases: Record<string, Case> = {
  linear: {
    shapes: [
      [5, 3],
      [4, 3],
    ],
    ours: (tape, [x, w]) => linear(tape, x as Tensor, w as Tensor),
    oracle: ([x, w]) => tf.matMul(x as tf.Tensor, w as tf.Tensor, false, true),
  },
  add: {
    shapes: [
      [5, 3],
      [5, 3],
    ],
    ours: (tape, [a, b]) => add(tape, a as Tensor, b as Tensor),
    oracle: ([a, b]) => tf.add(a as tf.Tensor, b as tf.Tensor),
  },
  'rms norm': {
    shapes: [[5, 6], [6]],
    ours: (tape, [x, w]) => rmsNorm(tape, x as Tensor, w as Tensor, 1e-5),
    oracle: ([x, w]) =>
      tf.mul(tf.div(x as tf.Tensor, tf.sqrt(tf.mean(tf.square(x as tf.Tensor), 1, true).add(1e-5))), w as tf.Tensor),
  },
  'gated SiLU': {
    shapes: [
      [5, 4],
      [5, 4],
    ],
    ours: (tape, [gate, up]) => gatedSilu(tape, gate as Tensor, up as Tensor),
    oracle: ([gate, up]) => tf.mul(tf.mul(gate as tf.Tensor, tf.sigmoid(gate as tf.Tensor)), up as tf.Tensor),
  },
  'rotary embedding': {
    shapes: [[7, 12]],
    ours: (tape, [x]) => rope(tape, x as Tensor, 3, { cos: tensor(cos, [7, 2]), sin: tensor(sin, [7, 2]) }),
    oracle: ([x]) => rotate(x as tf.Tensor, 3),
  },
  'attention over shared prompts': {
    shapes: [
      [9, 8],
      [9, 4],
      [9, 4],
    ],
    ours: (tape, [q, k, v]) => attention(segments)(tape, { q: q as Tensor, k: k as Tensor, v: v as Tensor }, heads),
    oracle: (inputs) => plainSequences(inputs),
  },
};

describe('a primitive and its backward, against automatic differentiation:', () => {
  test.each(Object.keys(cases))('%s', (name) => {
    const { shapes, ours, oracle } = cases[name] as Case;
    const data = shapes.map(values);
    const [output, ...gradients] = scope(() => {
      const tape = new Tape();
      const inputs = shapes.map((shape, i) => tensor(data[i] as Float32Array, shape));
      const result = ours(tape, inputs);
      const dy = tensor(values(result.shape, 5), result.shape);
      return [result, ...tape.gradients(result, dy, inputs)].map((each) => read(ops.add(each, ops.scalar(0))));
    }) as Float32Array[];
    const expected = tf.tidy(() => {
      const inputs = shapes.map((shape, i) => tf.tensor(data[i] as Float32Array, shape));
      const result = oracle(inputs);
      const dy = tf.tensor(values(result.shape, 5), result.shape);
      return [result, ...tf.grads((...args: tf.Tensor[]) => oracle(args))(inputs, dy)].map((each) => each.dataSync());
    }) as Float32Array[];
    expect(relativeDistance(output as Float32Array, expected[0] as Float32Array)).toBeLessThan(1e-5);
    expect(gradients).toHaveLength(shapes.length);
    gradients.forEach((gradient, i) =>
      expect(relativeDistance(gradient, expected[i + 1] as Float32Array)).toBeLessThan(1e-5),
    );
  });
});
