import { afterEach, describe, expect, test } from '@jest/globals';
import {
  kernels,
  ops,
  read,
  scope,
  setKernels,
  tensor,
  type Kernels,
  type Product,
  type Tensor,
} from '../../../trainer-image/engine/engine.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { made } from './values.ts';

/** Our own products, where the processor has a unit for them, against exact ones. */
const sets = kernelSetsHere.filter((set) => set !== 'none');

afterEach(() => setKernels('none'));

type Sizes = readonly [m: number, k: number, n: number];
const letters = [false, true].flatMap((transposeA) => [false, true].map((transposeB) => ({ transposeA, transposeB })));
type Letters = (typeof letters)[number];

/** Factors [m, k] and [k, n], given transposed where the letters say so. */
const product = ([m, k, n]: Sizes, seed: number, how: Letters): Product => {
  const [a, b] = [how.transposeA ? [k, m] : [m, k], how.transposeB ? [n, k] : [k, n]];
  return { a: made(a, seed), b: made(b, seed + 1), ...how };
};

/** The same product in float64. */
function exactProduct({ a, b, transposeA = false, transposeB = false }: Product, [m, k, n]: Sizes): Float64Array {
  const [left, right] = [read(a), read(b)];
  return Float64Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let p = 0; p < k; p++) {
      sum +=
        (left[transposeA ? p * m + i : i * k + p] as number) * (right[transposeB ? j * k + p : p * n + j] as number);
    }
    return sum;
  });
}

/** Root mean square of what values are away from exact ones. */
const errorOf = (values: ArrayLike<number>, exact: Float64Array): number =>
  Math.sqrt(exact.reduce((sum, x, i) => sum + ((values[i] as number) - x) ** 2, 0) / exact.length);

/** What is exact rounded to float32, whatever is summed up exactly. */
const roundingOf = (exact: Float64Array): number => errorOf(Float32Array.from(exact), exact);

describe.each(sets)('kernels for %s:', (set) => {
  const own = (): NonNullable<Kernels['matmul']> | undefined => {
    setKernels(set);
    const found = kernels()?.matmul;
    // Only where there is a unit for products.
    if (found === undefined) expect(set).not.toBe('amx');
    return found;
  };
  const sizes: Sizes[] = [
    [1, 1, 1],
    [3, 0, 2],
    [33, 31, 65],
    [32, 32, 32],
    [100, 700, 40],
    [40, 1300, 400],
    [400, 64, 17],
    // Of each side more panels than a thread has at once, and more depth.
    [700, 650, 333],
  ];
  test.each(sizes)('a product of %i x %i and %i, nearer to the exact one', (m, k, n) => {
    if (own() === undefined) return;
    for (const how of letters) {
      scope(() => {
        const one = product([m, k, n], 1, how);
        const exact = exactProduct(one, [m, k, n]);
        setKernels('none');
        const standard = read(ops.matmul(one.a, one.b, how.transposeA, how.transposeB));
        const found = own()?.([one], undefined) as Tensor;
        expect(found.shape).toEqual([m, n]);
        const limit = Math.max(errorOf(standard, exact), 1.01 * roundingOf(exact));
        expect(errorOf(read(found), exact)).toBeLessThanOrEqual(limit);
      });
    }
  });

  const sums: [depths: number[], m: number, n: number][] = [
    [[576, 16], 70, 90],
    [[1, 33, 32], 40, 33],
    [[700, 16, 650, 16], 100, 350],
    [[0, 5], 3, 4],
  ];
  test.each(sums)('a sum of products of depths %j as %i x %i', (depths, m, n) => {
    if (own() === undefined) return;
    for (const how of letters) {
      scope(() => {
        const products = depths.map((k, i) => product([m, k, n], 2 * i, how));
        const parts = products.map((each, i) => exactProduct(each, [m, depths[i] as number, n]));
        const exact = Float64Array.from({ length: m * n }, (_, i) =>
          parts.reduce((sum, part) => sum + (part[i] as number), 0),
        );
        setKernels('none');
        const standard = read(ops.sumOfProducts(products));
        const found = own()?.(products, undefined) as Tensor;
        const limit = Math.max(errorOf(standard, exact), 1.01 * roundingOf(exact));
        expect(errorOf(read(found), exact)).toBeLessThanOrEqual(limit);
      });
    }
  });

  test.each(sizes)('a product of %i x %i and %i is added to a matrix, which stays', (m, k, n) => {
    if (own() === undefined) return;
    scope(() => {
      const [one, sum] = [product([m, k, n], 1, letters[0] as Letters), made([m, n], 5)];
      const before = read(sum);
      const expected = read(ops.add(sum, own()?.([one], undefined) as Tensor));
      expect(read(own()?.([one], sum) as Tensor)).toEqual(expected);
      expect(read(sum)).toEqual(before);
    });
  });

  test('numbers that no bfloat16 holds give no number, in their own rows alone', () => {
    if (own() === undefined) return;
    scope(() => {
      const [a, b] = [new Float32Array(40 * 50).fill(1), new Float32Array(50 * 60).fill(1)];
      [Number.NaN, Infinity, -Infinity, 3.4e38].forEach((value, row) => (a[row * 50 + 7] = value));
      const found = read(own()?.([{ a: tensor(a, [40, 50]), b: tensor(b, [50, 60]) }], undefined) as Tensor);
      expect(Array.from(found.subarray(0, 4 * 60))).toEqual(Array.from({ length: 4 * 60 }, () => Number.NaN));
      expect(Array.from(found.subarray(4 * 60))).toEqual(Array.from({ length: 36 * 60 }, () => 50));
    });
  });
});

test.each(['none', ...sets] as const)('with kernels %s products of any letters are added up', (set) => {
  setKernels(set);
  scope(() => {
    const products = letters.map((how, i) => product([150, 120 + i, 140], i, how));
    const parts = products.map((each, i) => exactProduct(each, [150, 120 + i, 140]));
    const sum = made([150, 140], 9);
    const exact = Float64Array.from(read(sum), (x, i) => parts.reduce((total, part) => total + (part[i] as number), x));
    const found = ops.sumOfProducts(products, sum);
    expect(found.shape).toEqual([150, 140]);
    expect(errorOf(read(found), exact)).toBeLessThan(1e-5);
    expect(() => ops.sumOfProducts(products, made([140, 150], 9))).toThrow(/float32\[140,150\]/);
  });
});

test("a large product is our own where there is one, any other TensorFlow's", () => {
  const set = sets.find((each) => each === 'amx');
  if (set === undefined) return expect(sets).not.toContain('amx');
  scope(() => {
    const [a, b] = [made([200, 300], 1), made([300, 200], 2)];
    const standard = read(ops.matmul(a, b));
    setKernels(set);
    const own = kernels()?.matmul?.([{ a, b }], undefined) as Tensor;
    expect(read(own)).not.toEqual(standard);
    expect(read(ops.matmul(a, b))).toEqual(read(own));
    expect(() => ops.matmul(a, a)).toThrow(/MatMul\(float32\[200,300\], float32\[200,300\]\)/);
    expect(ops.matmul(ops.cast(a, 'bfloat16'), ops.cast(b, 'bfloat16')).dtype).toBe('bfloat16');
  });
});
