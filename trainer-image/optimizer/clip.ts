import { compile, kernels, ops, read, scope, type Tensor } from '../engine/engine.ts';

/** L2 norm of all gradients together. */
export function globalNorm(gradients: readonly Tensor[]): number {
  return scope(() => {
    const fused = kernels();
    if (fused !== undefined) return Math.sqrt(read(fused.sumOfSquares(gradients))[0] as number);
    const halves = (all: Tensor[]): Tensor[] => [ops.addN(all.map((gradient) => ops.l2Loss(gradient)))];
    return Math.sqrt(2 * (read(compile('gradient norm', halves, gradients)[0] as Tensor)[0] as number));
  });
}

/** What gradients are multiplied by so that their norm is at most `maxNorm`, as torch.nn.utils.clip_grad_norm_ does. */
export const clipScale = (norm: number, maxNorm: number): number => Math.min(1, maxNorm / (norm + 1e-6));
