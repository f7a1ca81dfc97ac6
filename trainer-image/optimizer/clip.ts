import { compile, free, keep, kernels, ops, read, scope, tensor, type Tensor } from '../engine/engine.ts';

/** L2 norm of all gradients together. */
export function globalNorm(gradients: readonly Tensor[]): number {
  return scope(() => {
    const halves = (all: Tensor[]): Tensor[] => [ops.addN(all.map((gradient) => ops.l2Loss(gradient)))];
    return Math.sqrt(2 * (read(compile('gradient norm', halves, gradients)[0] as Tensor)[0] as number));
  });
}

/** Scales gradients down to `maxNorm` as torch.nn.utils.clip_grad_norm_ does, freeing those given; smaller ones stay. */
export function clip(gradients: Map<string, Tensor>, norm: number, maxNorm: number): void {
  const factor = maxNorm / (norm + 1e-6);
  if (!(factor < 1)) return;
  const fused = kernels();
  if (fused !== undefined) return gradients.forEach((gradient) => fused.scaleInPlace(gradient, factor));
  const scale = tensor(Float32Array.of(factor), []);
  for (const [name, gradient] of gradients) {
    // Kept for whoever drops the gradients, also when the step that follows fails.
    gradients.set(name, keep(ops.mul(gradient, scale)));
    free(gradient);
  }
  free(scale);
}
