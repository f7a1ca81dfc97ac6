import { describe, expect, test } from '@jest/globals';
import {
  createVariable,
  liveTensors,
  ops,
  read,
  scope,
  tensor,
  type Tensor,
} from '../../../trainer-image/engine/engine.ts';

describe('a scope', () => {
  test('frees what was made in it and hands on what it returns, however deep', () => {
    const before = liveTensors();
    const kept = scope(() => {
      const a = tensor(Float32Array.of(1, 2), [2]);
      const b = ops.add(a, a);
      return { deep: [ops.mul(b, b)] };
    });
    expect(liveTensors()).toBe(before + 1);
    expect(Array.from(read(kept.deep[0] as Tensor))).toEqual([4, 16]);
  });

  test('frees the shapes and sizes that operations were given, which follow the micro-batches', () => {
    const reshaped = (rows: number): void =>
      scope(() => {
        const x = tensor(new Float32Array(rows * 6), [rows, 6]);
        ops.split(ops.reshape(x, [rows, 2, 3]), [1, 2], 2);
      });
    reshaped(1);
    const before = liveTensors();
    for (let rows = 2; rows < 40; rows++) reshaped(rows);
    expect(liveTensors()).toBe(before);
  });

  test('frees what was made in it when it fails', () => {
    const before = liveTensors();
    expect(() =>
      scope(() => {
        tensor(Float32Array.of(1), [1]);
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(liveTensors()).toBe(before);
  });
});

describe('a tensor', () => {
  test('must be filled by its values', () => {
    expect(() => tensor(Float32Array.of(1, 2, 3), [2, 2])).toThrow('3 values do not fill a tensor of shape [2, 2]');
  });

  test('names the operation and the shapes when they do not fit', () => {
    const a = tensor(new Float32Array(6), [2, 3]);
    expect(() => ops.matmul(a, a)).toThrow(/MatMul\(float32\[2,3\], float32\[2,3\]\)/);
  });

  test.each([
    ['concat and split', (a: Tensor) => ops.split(ops.concat([a, a], 1), [1, 3], 1)[1], [2, 1, 2, 4, 3, 4]],
    ['gather', (a: Tensor) => ops.gather(a, tensor(Int32Array.of(1, 1), [2])), [3, 4, 3, 4]],
    ['segmentSum', (a: Tensor) => ops.segmentSum(a, tensor(Int32Array.of(2, 2), [2]), 3), [0, 0, 0, 0, 4, 6]],
    ['where', (a: Tensor) => ops.where(ops.greaterEqual(a, ops.scalar(3)), a, ops.neg(a)), [-1, -2, 3, 4]],
    ['transpose', (a: Tensor) => ops.transpose(a, [1, 0]), [1, 3, 2, 4]],
    ['sum over the last axis', (a: Tensor) => ops.sum(a, 1), [3, 7]],
    ['matmul, right side transposed', (a: Tensor) => ops.matmul(a, a, false, true), [5, 11, 11, 25]],
    [
      'batchMatmul',
      (a: Tensor) => ops.batchMatmul(ops.reshape(a, [1, 2, 2]), ops.reshape(a, [1, 2, 2])),
      [7, 10, 15, 22],
    ],
  ])('%s', (_, f, expected) => {
    const result = scope(() => Array.from(read(f(tensor(Float32Array.of(1, 2, 3, 4), [2, 2])) as Tensor)));
    expect(result).toEqual(expected);
  });
});

describe('a variable', () => {
  test('holds its value, is changed by assignments, and is gone when disposed of', () => {
    const before = liveTensors();
    const variable = createVariable('weight', Float32Array.of(1, 2), [2]);
    scope(() => variable.assignAdd(tensor(Float32Array.of(10, 20), [2])));
    expect(scope(() => Array.from(read(variable.read())))).toEqual([11, 22]);
    scope(() => variable.assign(tensor(Float32Array.of(5, 6), [2])));
    expect(scope(() => Array.from(read(variable.read())))).toEqual([5, 6]);
    variable.dispose();
    expect(liveTensors()).toBe(before);
  });

  test('holds a tensor of its value until the next update', () => {
    const before = liveTensors();
    const variable = createVariable('weight', Float32Array.of(1, 2), [2]);
    const held = variable.value();
    expect(scope(() => variable.value())).toBe(held);
    for (const [update, expected] of [
      [(by: Tensor) => variable.assignAdd(by), [11, 22]],
      [(by: Tensor) => variable.assign(by), [10, 20]],
    ] as const) {
      scope(() => update(tensor(Float32Array.of(10, 20), [2])));
      expect([...read(variable.value())]).toEqual(expected);
    }
    variable.dispose();
    expect(liveTensors()).toBe(before);
  });

  test('of one name never shares the value of another', () => {
    const [a, b] = [createVariable('w', Float32Array.of(1), [1]), createVariable('w', Float32Array.of(2), [1])];
    expect(scope(() => [read(a.read())[0], read(b.read())[0]])).toEqual([1, 2]);
    a.dispose();
    b.dispose();
  });
});
