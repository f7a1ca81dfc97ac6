import { free, keep, ops, read, type Tensor } from '../engine/engine.ts';
import type { NamedTensor } from './safetensors.ts';

/** The gradient of each weight, added up over micro-batches until an update takes it. */
export class Gradients extends Map<string, Tensor> {
  /** Adds a part; it belongs to this from then on. */
  add(name: string, part: Tensor): void {
    const before = this.get(name);
    this.set(name, keep(before === undefined ? part : ops.add(before, part)));
    if (before !== undefined) free(before, part);
  }

  /** Forgets all that has been added. */
  drop(): void {
    free(...this.values());
    this.clear();
  }

  /** Their values. For tests and reports. */
  readAll(): NamedTensor[] {
    return [...this].map(([name, gradient]) => {
      return { name, shape: gradient.shape, data: read(gradient) as Float32Array };
    });
  }
}
