import { ops, type Tensor } from '../engine/engine.ts';
import type { Tape } from './tape.ts';

/**
 * The primitives that architectures are composed of. Each carries its own backward, the only one in the product; tfjs's
 * automatic differentiation is their oracle in the tests. n: tokens of the micro-batch.
 */

/** x [n, in] times weight [out, in] transposed -> [n, out], as torch.nn.Linear without bias. */
export function linear(tape: Tape, x: Tensor, weight: Tensor): Tensor {
  return tape.run({
    inputs: [x, weight],
    needs: [x],
    costly: true,
    compute: () => ops.matmul(x, weight, false, true),
    backward: (dy) => [ops.matmul(dy, weight), ops.matmul(dy, x, true)],
  });
}

export function add(tape: Tape, a: Tensor, b: Tensor): Tensor {
  return tape.run({
    inputs: [a, b],
    needs: [],
    costly: false,
    compute: () => ops.add(a, b),
    backward: (dy) => [dy, dy],
  });
}

/** Root mean square normalisation (Zhang and Sennrich 2019, eq. 4): x [n, d] / rms(x) * weight [d]. */
export function rmsNorm(tape: Tape, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const scale = (): Tensor => ops.rsqrt(ops.add(ops.mean(ops.square(x), 1), ops.scalar(epsilon)));
  return tape.run({
    inputs: [x, weight],
    needs: [x],
    costly: false,
    compute: () => ops.mul(ops.mul(x, scale()), weight),
    backward: (dy) => {
      const r = scale();
      const normed = ops.mul(x, r);
      const dNormed = ops.mul(dy, weight);
      const along = ops.mul(normed, ops.mean(ops.mul(dNormed, normed), 1));
      return [ops.mul(r, ops.sub(dNormed, along)), ops.sum(ops.mul(dy, normed), 0, false)];
    },
  });
}

/** Gated activation of SwiGLU (Shazeer 2020, eq. 6): silu(gate) * up, all [n, d]. */
export function gatedSilu(tape: Tape, gate: Tensor, up: Tensor): Tensor {
  return tape.run({
    inputs: [gate, up],
    needs: [gate, up],
    costly: false,
    compute: () => ops.mul(ops.mul(gate, ops.sigmoid(gate)), up),
    backward: (dy) => {
      const s = ops.sigmoid(gate);
      const silu = ops.mul(gate, s);
      const slope = ops.add(s, ops.mul(silu, ops.sub(ops.scalar(1), s)));
      return [ops.mul(ops.mul(dy, up), slope), ops.mul(dy, silu)];
    },
  });
}

/** Cosine and sine of each token's angles, [n, headSize / 2]. */
export interface Rotation {
  cos: Tensor;
  sin: Tensor;
}

/**
 * Rotary position embedding (Su et al. 2021, eq. 34) in Hugging Face's arrangement, where dimension i turns with
 * i + headSize / 2: x [n, heads * headSize] -> the same shape.
 */
export function rope(tape: Tape, x: Tensor, heads: number, { cos, sin }: Rotation): Tensor {
  const [n, width] = x.shape as [number, number];
  const half = width / heads / 2;
  const turn = (from: Tensor, direction: 'add' | 'sub'): Tensor => {
    const [c, s] = [ops.reshape(cos, [n, 1, half]), ops.reshape(sin, [n, 1, half])];
    const [a, b] = ops.split(ops.reshape(from, [n, heads, 2 * half]), [half, half], 2) as [Tensor, Tensor];
    const other = direction === 'add' ? ops.sub : ops.add;
    const parts = [other(ops.mul(a, c), ops.mul(b, s)), ops[direction](ops.mul(b, c), ops.mul(a, s))];
    return ops.reshape(ops.concat(parts, 2), [n, width]);
  };
  return tape.run({
    inputs: [x],
    needs: [],
    costly: false,
    compute: () => turn(x, 'add'),
    // The transpose of a rotation is the rotation back.
    backward: (dy) => [turn(dy, 'sub')],
  });
}
