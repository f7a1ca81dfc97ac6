import * as tf from '@tensorflow/tfjs-node-gpu';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ops, read, scope, setKernels, tensor, type Tensor } from '../../../trainer-image/engine/engine.ts';
import { attention, type AttentionOptions } from '../../../trainer-image/model/attention.ts';
import {
  add,
  addBias,
  columns,
  gatedGelu,
  gatedSilu,
  gelu,
  layerNorm,
  linear,
  mul,
  plusOne,
  reshape,
  rmsNorm,
  rope,
} from '../../../trainer-image/model/primitives.ts';
import { Tape } from '../../../trainer-image/model/tape.ts';
import { relativeDistance } from '../golden.ts';
import { kernelSetsHere } from '../kernel-sets.ts';

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

const heads = { query: 4, keyValue: 2, size: 2 };

/** Plain causal attention of one sequence, key heads repeated for their query heads. */
function plainAttention([q, k, v]: tf.Tensor[], { window, scale }: AttentionOptions) {
  const n = q?.shape[0] as number;
  const perHead = (x: tf.Tensor, count: number) => x.reshape([n, count, -1]).transpose([1, 0, 2]);
  const repeat = (x?: tf.Tensor) => {
    const parts = tf.split(perHead(x as tf.Tensor, heads.keyValue), heads.keyValue, 0);
    return tf.concat(
      parts.flatMap((part) => Array.from({ length: heads.query / heads.keyValue }, () => part)),
      0,
    );
  };
  const queries = perHead(q as tf.Tensor, heads.query);
  const scores = tf.matMul(queries, repeat(k), false, true).mul(scale ?? 1 / Math.sqrt(queries.shape[2] as number));
  const mask = tf.linalg
    .bandPart(tf.ones([n, n]), window === undefined ? -1 : Math.min(window, n) - 1, 0)
    .sub(1)
    .mul(1e9);
  return tf
    .matMul(tf.softmax(scores.add(mask)), repeat(v))
    .transpose([1, 0, 2])
    .reshape([n, -1]);
}

/** A prompt of 3 with answers of 2 and 1, and one of 1 with an answer of 2: 9 tokens. */
const segments = [
  { prompt: 3, completions: [2, 1] },
  { prompt: 1, completions: [2] },
];

/** The same, each answer in a sequence of its own behind a copy of its prompt. */
function plainSequences(inputs: tf.Tensor[], options: AttentionOptions = {}): tf.Tensor {
  const rows = (x: tf.Tensor, list: number[]) => tf.gather(x, tf.tensor1d(list, 'int32'));
  const run = (list: number[]) =>
    plainAttention(
      inputs.map((x) => rows(x, list)),
      options,
    );
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
  'linear of a weight that lies the other way': {
    shapes: [
      [5, 3],
      [3, 4],
    ],
    ours: (tape, [x, w]) => linear(tape, x as Tensor, w as Tensor, { layout: 'in-out' }),
    oracle: ([x, w]) => tf.matMul(x as tf.Tensor, w as tf.Tensor),
  },
  bias: {
    shapes: [[5, 3], [3]],
    ours: (tape, [x, b]) => addBias(tape, x as Tensor, b as Tensor),
    oracle: ([x, b]) => tf.add(x as tf.Tensor, b as tf.Tensor),
  },
  product: {
    shapes: [
      [5, 3],
      [5, 3],
    ],
    ours: (tape, [a, b]) => mul(tape, a as Tensor, b as Tensor),
    oracle: ([a, b]) => tf.mul(a as tf.Tensor, b as tf.Tensor),
  },
  'one more': {
    shapes: [[4]],
    ours: (tape, [x]) => plusOne(tape, x as Tensor),
    oracle: ([x]) => tf.add(x as tf.Tensor, 1),
  },
  'first columns': {
    shapes: [[4, 6]],
    ours: (tape, [x]) => columns(tape, x as Tensor, 0, 2),
    oracle: ([x]) => tf.slice(x as tf.Tensor, [0, 0], [4, 2]),
  },
  'columns in the middle': {
    shapes: [[4, 6]],
    ours: (tape, [x]) => columns(tape, x as Tensor, 1, 3),
    oracle: ([x]) => tf.slice(x as tf.Tensor, [0, 1], [4, 3]),
  },
  'another shape': {
    shapes: [[4, 6]],
    ours: (tape, [x]) => reshape(tape, x as Tensor, [8, 3]),
    oracle: ([x]) => tf.reshape(x as tf.Tensor, [8, 3]),
  },
  'layer norm': {
    shapes: [[5, 6], [6], [6]],
    ours: (tape, [x, w, b]) => layerNorm(tape, x as Tensor, [w as Tensor, b as Tensor], 1e-5),
    oracle: ([x, w, b]) => {
      const { mean, variance } = tf.moments(x as tf.Tensor, 1, true);
      const normed = tf.div(tf.sub(x as tf.Tensor, mean), tf.sqrt(tf.add(variance, 1e-5)));
      return tf.add(tf.mul(normed, w as tf.Tensor), b as tf.Tensor);
    },
  },
  GELU: {
    shapes: [[5, 4]],
    ours: (tape, [x]) => gelu(tape, x as Tensor),
    oracle: ([x]) => {
      const inner = tf.add(x as tf.Tensor, tf.mul(0.044715, tf.pow(x as tf.Tensor, 3))).mul(Math.sqrt(2 / Math.PI));
      return tf.mul(tf.mul(x as tf.Tensor, 0.5), tf.add(tf.tanh(inner), 1));
    },
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
  'gated GELU': {
    shapes: [
      [5, 4],
      [5, 4],
    ],
    ours: (tape, [gate, up]) => gatedGelu(tape, gate as Tensor, up as Tensor),
    oracle: ([gate, up]) => tf.mul((cases['GELU'] as Case).oracle([gate as tf.Tensor]), up as tf.Tensor),
  },
  'rotary embedding': {
    shapes: [[7, 12]],
    ours: (tape, [x]) => rope(tape, x as Tensor, 3, { cos: tensor(cos, [7, 2]), sin: tensor(sin, [7, 2]) }),
    oracle: ([x]) => rotate(x as tf.Tensor, 3),
  },
  'rotary embedding of a part of each head': {
    shapes: [[7, 18]],
    ours: (tape, [x]) => rope(tape, x as Tensor, 3, { cos: tensor(cos, [7, 2]), sin: tensor(sin, [7, 2]) }),
    oracle: ([x]) => {
      const [turned, still] = tf.split(tf.reshape(x as tf.Tensor, [7, 3, 6]), [4, 2], 2) as [tf.Tensor, tf.Tensor];
      return tf.concat([rotate(turned.reshape([7, 12]), 3).reshape([7, 3, 4]), still], 2).reshape([7, 18]);
    },
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
  'attention in a sliding window, scores scaled': {
    shapes: [
      [9, 8],
      [9, 4],
      [9, 4],
    ],
    ours: (tape, [q, k, v]) =>
      attention(segments)(tape, { q: q as Tensor, k: k as Tensor, v: v as Tensor }, heads, { window: 3, scale: 1.3 }),
    oracle: (inputs) => plainSequences(inputs, { window: 3, scale: 1.3 }),
  },
};

describe.each(kernelSetsHere)(
  'a primitive and its backward (kernels: %s), against automatic differentiation:',
  (set) => {
    beforeAll(() => setKernels(set));
    afterAll(() => setKernels('none'));

    test.each(Object.keys(cases))('%s', (name) => {
      const { shapes, ours, oracle } = cases[name] as Case;
      const data = shapes.map(values);
      const [output, ...gradients] = scope(() => {
        const tape = new Tape('fp32');
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
  },
);
