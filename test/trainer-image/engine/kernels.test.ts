import { spawnSync } from 'node:child_process';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Segments } from '../../../trainer-image/data/layout.ts';
import {
  compile,
  kernels,
  ops,
  read,
  scope,
  setKernels,
  tensor,
  type AdamState,
  type Tensor,
} from '../../../trainer-image/engine/engine.ts';
import { attention, type AttentionOptions, type Heads } from '../../../trainer-image/model/attention.ts';
import { gatedGelu, gatedSilu, linear, linearSum, mul, rmsNorm } from '../../../trainer-image/model/primitives.ts';
import { Tape } from '../../../trainer-image/model/tape.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { made, values } from './values.ts';

/** Our kernels against TensorFlow's own operations, which the other tests hold against other oracles. */
const sets = kernelSetsHere.filter((set) => set !== 'none');

afterEach(() => setKernels('none'));

/** A result and its gradients by every input. */
type Computed = Float32Array[];
function compute(shapes: number[][], f: (tape: Tape, inputs: Tensor[]) => Tensor): Computed {
  return scope(() => {
    const tape = new Tape('fp32');
    const inputs = shapes.map((shape, i) => made(shape, i));
    const result = f(tape, inputs);
    const dy = made(result.shape, 9);
    return [result, ...tape.gradients(result, dy, inputs)].map((each) => read(each) as Float32Array);
  });
}

/** `half`: half of the dimensions that turn. */
type Options = AttentionOptions & { half?: number };

/** Largest difference, against the largest value or 1: some gradients are rounding errors around zero. */
function apart(found: Float32Array, expected: Float32Array): number {
  const most = (list: Float32Array): number => list.reduce((m, x) => (Math.abs(x) > m ? Math.abs(x) : m), 0);
  return found.every(Number.isFinite)
    ? most(found.map((x, i) => x - (expected[i] as number))) / Math.max(1, most(expected))
    : Infinity;
}

function expectSame(
  shapes: number[][],
  f: (tape: Tape, inputs: Tensor[]) => Tensor,
  set: (typeof sets)[number],
  within = 4e-6,
): void {
  const expected = compute(shapes, f);
  setKernels(set);
  const found = compute(shapes, f);
  expect(found.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  found.forEach((each, i) => expect(apart(each, expected[i] as Float32Array)).toBeLessThan(within));
}

describe.each(sets)('kernels for %s give what the standard operations give:', (set) => {
  const heads = (query: number, keyValue: number, size: number): Heads => ({ query, keyValue, size });
  const one: Segments[] = [{ prompt: 5, completions: [7, 3] }];
  const cases: [what: string, segments: Segments[], how: Heads, options?: Options][] = [
    ['several groups', [...one, { prompt: 2, completions: [4] }], heads(4, 2, 8)],
    ['a prompt of one token', [{ prompt: 1, completions: [1, 2] }], heads(2, 2, 16)],
    ['answers and prompts longer than a block of queries', [{ prompt: 70, completions: [100, 33] }], heads(6, 2, 64)],
    ['many answers', [{ prompt: 17, completions: [3, 16, 1, 15, 32] }], heads(3, 1, 16)],
    ['no answer', [{ prompt: 40, completions: [] }], heads(2, 1, 8)],
    ['heads of sizes that fill no register', one, heads(3, 3, 10), { half: 5 }],
    ['larger heads', [{ prompt: 20, completions: [40, 9] }], heads(2, 1, 128), { half: 64 }],
    ['a rotation of whole heads', [{ prompt: 33, completions: [20, 40] }], heads(4, 2, 16), { half: 8 }],
    ['a rotation of a part of each head', one, heads(4, 1, 24), { half: 4 }],
    ['a window within the answer', [{ prompt: 50, completions: [40, 35] }], heads(4, 2, 16), { window: 9 }],
    [
      'a window back into the prompt',
      [{ prompt: 50, completions: [40, 35] }],
      heads(4, 2, 16),
      { window: 60, half: 8 },
    ],
    ['a window of one', one, heads(2, 1, 8), { window: 1 }],
    ['another scale', one, heads(2, 1, 8), { scale: 1.7 }],
    ['scores that differ by hundreds', one, heads(2, 1, 8), { scale: 20 }],
  ];
  test.each(cases)('attention with %s', (_, segments, how, { half = 0, ...options } = {}) => {
    const n = segments.reduce((sum, { prompt, completions }) => sum + completions.reduce((a, b) => a + b, prompt), 0);
    const rotation = (): AttentionOptions => {
      const angles = values([n, half], 4);
      const table = (f: (angle: number) => number): Tensor => tensor(angles.map(f), [n, half]);
      return half === 0 ? {} : { rotation: { cos: table(Math.cos), sin: table(Math.sin) } };
    };
    const shapes = [how.query, how.keyValue, how.keyValue].map((count) => [n, count * how.size]);
    expectSame(
      shapes,
      (tape, [q, k, v]) =>
        attention(segments)(tape, { q: q as Tensor, k: k as Tensor, v: v as Tensor }, how, {
          ...options,
          ...rotation(),
        }),
      set,
      // The rounding of scores grows with them, and is multiplied once more on its way to the queries.
      4e-6 * Math.max(1, options.scale ?? 1) ** 2,
    );
  });

  test.each([
    [1, 1],
    [3, 16],
    [70, 576],
    [33, 50],
  ])('norms of %i rows of %i', (rows, width) => {
    expectSame([[rows, width], [width]], (tape, [x, w]) => rmsNorm(tape, x as Tensor, w as Tensor, 1e-5), set);
  });

  test.each(
    Object.entries({ gatedSilu, gatedGelu }).flatMap(([name, f]) =>
      [
        [1, 3],
        [5, 17],
        [40, 1000],
      ].map((shape) => [name, shape, f] as const),
    ),
  )('%s of %j', (_, shape, f) => {
    expectSame([shape, shape], (tape, [gate, up]) => f(tape, gate as Tensor, up as Tensor), set);
  });

  test.each([
    [1, 2],
    [4, 37],
    [3, 4096],
  ])('cross-entropy of %i rows over %i, also where it takes the place of the logits', (rows, width) => {
    scope(() => {
      const labels = tensor(
        Int32Array.from({ length: rows }, (_, i) => (7 * i + 1) % width),
        [rows],
      );
      const [x, w] = [made([rows, 5], 1), made([width, 5], 2)];
      const logits = (): Tensor => ops.sub(ops.matmul(x, w, false, true), ops.scalar(200));
      const standard = ops.crossEntropy(logits(), labels).map((each) => read(each) as Float32Array);
      setKernels(set);
      const own = (inputs: Tensor[]): Tensor[] => {
        const scores = ops.sub(ops.matmul(inputs[0] as Tensor, inputs[1] as Tensor, false, true), ops.scalar(200));
        return kernels()?.crossEntropy(scores, inputs[2] as Tensor) ?? [];
      };
      const kept = logits();
      const before = read(kept);
      for (const found of [
        compile(`loss ${width}`, own, [x, w, labels]),
        kernels()?.crossEntropy(kept, labels) ?? [],
      ]) {
        found.forEach((each, i) =>
          expect(apart(read(each) as Float32Array, standard[i] as Float32Array)).toBeLessThan(4e-6),
        );
        expect(found).toHaveLength(2);
      }
      expect(read(kept)).toEqual(before);
    });
  });

  test('gradients are added to, and scaled, in their own place', () => {
    setKernels(set);
    scope(() => {
      const [sum, part, table, rows] = [made([70_001], 1), made([70_001], 2), made([5, 70], 3), made([4, 70], 4)];
      const both = read(ops.add(sum, part));
      kernels()?.addInto(sum, part);
      expect(read(sum)).toEqual(both);
      kernels()?.scaleInPlace(sum, 0.25);
      expect(read(sum)).toEqual(both.map((value) => value / 4));
      // Two of the rows go to one place.
      const places = tensor(Int32Array.of(3, 0, 3, 4), [4]);
      const expected = read(ops.add(table, ops.segmentSum(rows, places, 5))) as Float32Array;
      kernels()?.addRowsInto(table, rows, places);
      expect(apart(read(table) as Float32Array, expected)).toBeLessThan(1e-6);
      const record = (): Tensor[] =>
        compile('in place', ([x]) => (kernels()?.scaleInPlace(x as Tensor, 2), []), [part]);
      expect(record).toThrow(/cannot be recorded: it keeps state|inside a recording/);
    });
  });

  test('a sum of squares is that of all tensors', () => {
    setKernels(set);
    scope(() => {
      const tensors = [made([70_001], 1), made([3], 2), made([5, 70], 3)];
      const exact = tensors.flatMap((each) => [...read(each)]).reduce((sum, x) => sum + x * x, 0);
      const found = read(kernels()?.sumOfSquares(tensors) as Tensor);
      expect(found).toHaveLength(1);
      expect(Math.abs((found[0] as number) / exact - 1)).toBeLessThan(2e-7);
    });
  });

  test('a step of AdamW in weights that decay or not, large and small', () => {
    const numbers = { gradientScale: 0.5, betas: [0.9, 0.99], rate: 0.1, epsilon: 1e-8 } as const;
    setKernels(set);
    scope(() => {
      const states = [
        { shape: [300, 300], kept: 0.9 },
        { shape: [7], kept: 1 },
      ].map(({ shape, kept }) => {
        const [weight, m, squared, gradient] = [1, 2, 3, 4].map((seed) => made(shape, seed)) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        return { weight, m, v: ops.square(squared), gradient, kept };
      });
      const expected = states.map((state) => {
        const [weight, m, v, gradient] = [state.weight, state.m, state.v, state.gradient].map((each) => [
          ...read(each),
        ]);
        return gradient?.map((each, i) => {
          const [first, second] = [m?.[i] as number, v?.[i] as number];
          const moments = [0.9 * first + 0.05 * each, 0.99 * second + 0.01 * (0.5 * each) ** 2] as const;
          return [
            state.kept * (weight?.[i] as number) - (0.1 * moments[0]) / (Math.sqrt(moments[1]) + 1e-8),
            ...moments,
          ];
        });
      });
      kernels()?.adamw(states, numbers);
      states.forEach(({ weight, m, v }, i) => {
        [weight, m, v].forEach((found, part) => {
          const exact = Float32Array.from(expected[i] as number[][], (each) => each[part] as number);
          expect(apart(read(found) as Float32Array, exact)).toBeLessThan(1e-6);
        });
      });
      const [one, other] = states as [AdamState, AdamState];
      expect(() => kernels()?.adamw([{ ...one, gradient: other.gradient }], numbers)).toThrow(/300,300.*7/);
    });
  });

  test('sums of dense products, and the gradients that meet in one input', () => {
    const shapes = [
      [200, 130],
      [160, 130],
      [200, 16],
      [160, 16],
      [200, 160],
    ];
    const f = (tape: Tape, [x, w, narrow, b, sum]: Tensor[]): Tensor => {
      const first = linearSum(tape, [
        { x: x as Tensor, weight: w as Tensor },
        { x: narrow as Tensor, weight: b as Tensor },
      ]);
      return linear(tape, x as Tensor, w as Tensor, { sum: mul(tape, first, sum as Tensor) });
    };
    expectSame(shapes, f, set);
  });

  test('what is not a number stays none, so that a step is refused', () => {
    setKernels(set);
    scope(() => {
      const bad = (shape: number[]): Tensor => tensor(values(shape, 1).fill(Number.NaN, 3, 4), shape);
      const tape = new Tape('fp32');
      const gain = made([8], 2);
      expect(read(rmsNorm(tape, bad([1, 8]), gain, 1e-5))[0]).toBeNaN();
      expect(read(gatedSilu(tape, bad([1, 8]), made([1, 8], 1)))[3]).toBeNaN();
      expect(read(kernels()?.crossEntropy(bad([1, 8]), tensor(Int32Array.of(0), [1]))[0] as Tensor)[0]).toBeNaN();
      const qkv = { q: bad([2, 8]), k: made([2, 8], 1), v: made([2, 8], 2) };
      const options = { query: 1, keyValue: 1, size: 8 };
      expect(read(attention([{ prompt: 2, completions: [] }])(tape, qkv, options))[0]).toBeNaN();
      const product = kernels()?.matmul?.([{ a: bad([2, 8]), b: made([8, 2], 1) }], undefined);
      if (product !== undefined) expect([...read(product)].slice(0, 2)).toEqual([Number.NaN, Number.NaN]);
    });
  });

  test('a number below the least normal one is zero, whichever thread computes it', () => {
    setKernels(set);
    scope(() => {
      // Several parts of 65,536 each: both the caller's thread and those of the pool have some.
      const tiny = tensor(new Float32Array(400_000).fill(1e-30), [400_000]);
      kernels()?.scaleInPlace(tiny, 1e-10);
      expect((read(tiny) as Float32Array).every((value) => value === 0)).toBe(true);
    });
  });

  test('the same bits with any number of threads', () => {
    const digest = (threads: number): string => {
      const env = { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) };
      const args = ['--disable-warning=ExperimentalWarning', 'test/trainer-image/engine/kernel-bits.ts', set];
      return spawnSync(process.execPath, args, { env, encoding: 'utf8' }).stdout.trim();
    };
    const alone = digest(1);
    expect(alone).toMatch(/^[0-9a-f]{64}$/);
    expect([digest(2), digest(5)]).toEqual([alone, alone]);
  });
});
