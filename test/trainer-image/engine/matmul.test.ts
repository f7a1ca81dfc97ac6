import { afterEach, describe, expect, test } from '@jest/globals';
import { kernels, ops, read, scope, setKernels, type Tensor } from '../../../trainer-image/engine/engine.ts';
import { kernelSetsHere } from '../kernel-sets.ts';
import { made } from './values.ts';

/** Our own products, where the processor has a unit for them, against exact ones. */
const sets = kernelSetsHere.filter((set) => set !== 'none');

afterEach(() => setKernels('none'));

/** a [m, k] times b [k, n] in float64, where transposed given as [k, m] and [n, k]. */
function exactProduct(
  [a, b]: readonly [ArrayLike<number>, ArrayLike<number>],
  [m, k, n]: readonly [number, number, number],
  [transposeA, transposeB]: readonly [boolean, boolean],
): Float64Array {
  const left = (i: number, p: number): number => a[transposeA ? p * m + i : i * k + p] as number;
  const right = (p: number, j: number): number => b[transposeB ? j * k + p : p * n + j] as number;
  return Float64Array.from({ length: m * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let p = 0; p < k; p++) sum += left(i, p) * right(p, j);
    return sum;
  });
}

describe.each(sets)('kernels for %s:', (set) => {
  const products: [m: number, k: number, n: number][] = [
    [1, 1, 1],
    [3, 0, 2],
    [33, 31, 65],
    [32, 32, 32],
    [100, 700, 40],
    [40, 1300, 400],
    [400, 64, 17],
  ];
  test.each(products)('a product of %i x %i and %i, nearer to the exact one', (m, k, n) => {
    setKernels(set);
    const own = kernels()?.matmul;
    // Only where there is a unit for products.
    if (own === undefined) return expect(set).not.toBe('amx');
    for (const [transposeA, transposeB] of [false, true].flatMap((a) => [false, true].map((b) => [a, b] as const))) {
      scope(() => {
        const a = made(transposeA ? [k, m] : [m, k], 1);
        const b = made(transposeB ? [n, k] : [k, n], 2);
        const exact = exactProduct([read(a), read(b)], [m, k, n], [transposeA, transposeB]);
        setKernels('none');
        const standard = read(ops.matmul(a, b, transposeA, transposeB)) as Float32Array;
        setKernels(set);
        const found = own([{ a, b, transposeA, transposeB }], undefined);
        expect(found.shape).toEqual([m, n]);
        const error = (values: ArrayLike<number>): number =>
          Math.sqrt(exact.reduce((sum, x, i) => sum + ((values[i] as number) - x) ** 2, 0) / exact.length);
        // The result itself is rounded to 24 bits, whatever is summed up exactly.
        const rounding = error(Float32Array.from(exact));
        expect(error(read(found))).toBeLessThanOrEqual(Math.max(error(standard), 1.01 * rounding));
      });
    }
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
