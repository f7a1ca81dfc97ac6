import { afterEach, describe, expect, test } from '@jest/globals';
import {
  compile,
  compiledFunctions,
  free,
  liveTensors,
  ops,
  read,
  scope,
  setEager,
  tensor,
  type Tensor,
} from '../../../trainer-image/engine/engine.ts';
import { binding } from '../../../trainer-image/engine/binding.ts';
import { attribute } from '../../../trainer-image/engine/attribute.ts';
import { execute } from '../../../trainer-image/engine/tensor.ts';

/** Two layers with a softmax between and their gradient by hand: products, reductions, lists and constants. */
function attentionLike([x, w, labels]: Tensor[]): Tensor[] {
  const mixed = ops.softmax(ops.matmul(x as Tensor, ops.transpose(x as Tensor, [1, 0])));
  const [top, bottom] = ops.split(ops.matmul(mixed, x as Tensor), [2, 2], 0) as [Tensor, Tensor];
  const joined = ops.addN([ops.concat([bottom, top], 0), x as Tensor, x as Tensor]);
  const [loss, gradient] = ops.crossEntropy(ops.matmul(joined, w as Tensor), labels as Tensor);
  return [ops.sum(loss, 0, false), ops.matmul(joined, gradient, true)];
}

const inputsOf = (seed: number): [Float32Array, Float32Array, Int32Array] => [
  Float32Array.from({ length: 12 }, (_, i) => Math.sin(seed + i)),
  Float32Array.from({ length: 15 }, (_, i) => Math.cos(seed * 2 + i)),
  Int32Array.from([seed % 5, 1, 4, 2]),
];

function call(seed: number): { loss: number; gradient: number[] } {
  return scope(() => {
    const [x, w, labels] = inputsOf(seed);
    const inputs = [tensor(x, [4, 3]), tensor(w, [3, 5]), tensor(labels, [4])];
    const [loss, gradient] = compile('attention-like', attentionLike, inputs) as [Tensor, Tensor];
    return { loss: read(loss)[0] ?? NaN, gradient: Array.from(read(gradient)) };
  });
}

describe('a compiled function', () => {
  afterEach(() => setEager(false));

  test('computes what eager execution computes, with every input changed between its calls', () => {
    for (const seed of [1, 2, 3, 4]) {
      const compiled = call(seed);
      setEager(true);
      const eager = call(seed);
      setEager(false);
      expect(compiled.loss).toBeCloseTo(eager.loss, 5);
      compiled.gradient.forEach((value, i) => expect(value).toBeCloseTo(eager.gradient[i] ?? NaN, 5));
    }
    expect(call(1).loss).not.toBeCloseTo(call(2).loss, 3);
  });

  test('is recorded once for each key and shape of its inputs', () => {
    let recorded = 0;
    const double = ([x]: Tensor[]): Tensor[] => {
      recorded += 1;
      return [ops.add(x as Tensor, x as Tensor)];
    };
    scope(() => {
      for (const length of [2, 3, 2, 3]) compile('double', double, [tensor(new Float32Array(length), [length])]);
    });
    expect(recorded).toBe(2);
  });

  test('leaves no tensor behind over 1,000 calls', () => {
    call(0);
    const [tensors, functions] = [liveTensors(), compiledFunctions()];
    for (let seed = 0; seed < 1000; seed++) call(seed);
    expect(liveTensors()).toBe(tensors);
    expect(compiledFunctions()).toEqual(functions);
  });

  test('is freed in TensorFlow, too, when many others have been called since, and recorded anew when it is called again', () => {
    const works = (name: string | undefined, x: Tensor) => (): unknown =>
      binding.callFunction(name as string, [x.id], 1);
    scope(() => {
      const x = tensor(Float32Array.of(3), [1]);
      compile('power 0', ([a]) => [ops.mul(a as Tensor, a as Tensor)], [x]);
      const first = compiledFunctions().at(-1);
      expect(works(first, x)).not.toThrow();
      for (let i = 1; i < 400; i++) compile(`power ${i}`, ([a]) => [ops.mul(a as Tensor, a as Tensor)], [x]);
      expect(compiledFunctions().length).toBeLessThanOrEqual(256);
      expect(works(first, x)).toThrow(/power_0/);
      const [again] = compile('power 0', ([a]) => [ops.mul(a as Tensor, a as Tensor)], [x]);
      expect(read(again as Tensor)[0]).toBe(9);
    });
  });

  test('draws the mask of its seed: another seed, another mask; the same seed, the same mask', () => {
    const mask = (step: number): string =>
      scope(() => {
        const seed = tensor(Int32Array.of(42, step), [2]);
        const [values] = compile('dropout', ([s]) => [ops.statelessUniform(s as Tensor, [64])], [seed]);
        return Array.from(read(values as Tensor), (value) => (value < 0.9 ? '1' : '0')).join('');
      });
    expect(mask(1)).not.toBe(mask(2));
    expect(mask(1)).toBe(mask(1));
    expect(mask(1)).toMatch(/0.*1|1.*0/);
  });

  test('hands its inputs on when its result is one of them', () => {
    scope(() => {
      const x = tensor(Float32Array.of(7), [1]);
      const [same, twice] = compile('same', ([a]) => [a as Tensor, a as Tensor], [x]) as [Tensor, Tensor];
      expect([read(same)[0], read(twice)[0]]).toEqual([7, 7]);
    });
  });
});

describe('what cannot be recorded is refused with the layer and the reason', () => {
  const x = tensor(Float32Array.of(1, 2), [2]);
  const outside = tensor(Float32Array.of(3, 4), [2]);

  const cases: [string, (inputs: Tensor[]) => Tensor[], RegExp][] = [
    ['a tensor that is not declared', ([a]) => [ops.add(a as Tensor, outside)], /layer 3: AddV2.*nor declared/s],
    ['a result from elsewhere', () => [outside], /layer 3: the result.*nor declared/s],
    ['reading a value', ([a]) => (read(a as Tensor), []), /layer 3: a value was read inside a recording/],
    ['making a tensor', () => [tensor(Float32Array.of(1), [1])], /layer 3: a tensor was made inside a recording/],
    ['a nested compiled function', ([a]) => compile('inner', (i) => i, [a as Tensor]), /layer 3: inner: .*nested/],
    ['shapes that do not fit', ([a]) => [ops.matmul(a as Tensor, a as Tensor)], /layer 3: MatMul.*must be rank 2/s],
  ];
  test.each(cases)('%s', (_, f, message) => {
    expect(() => compile('layer 3', f, [x])).toThrow(message);
    expect(read(scope(() => ops.add(x, outside)))[1]).toBe(6);
  });

  test('a random operation with hidden state', () => {
    const shape = tensor(Int32Array.of(2), [1]);
    const attributes = [attribute.type('dtype', 'float32'), attribute.type('T', 'int32')];
    const draw = ([s]: Tensor[]): Tensor[] => execute('RandomUniform', attributes, [s as Tensor]);
    expect(() => compile('dropout 2', draw, [shape])).toThrow(/dropout 2: RandomUniform.*keeps state.*Stateless/s);
    free(shape);
  });

  test('an operation that TensorFlow does not know', () => {
    expect(() => compile('norm', () => execute('LayerNorm', [], []), [x])).toThrow(/norm: LayerNorm/);
  });
});
