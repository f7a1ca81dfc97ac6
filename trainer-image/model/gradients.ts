import { free, keep, kernels, ops, read, type Tensor } from '../engine/engine.ts';
import type { NamedTensor } from './safetensors.ts';

/** Receives the parts of each weight's gradient. */
export interface GradientSink {
  /** A part of the weight's shape; it belongs to the sink from then on. */
  add: (name: string, part: Tensor) => void;
  /** Rows [m, d] of the gradient [height, d], at places [m]; zero elsewhere. They stay the caller's. */
  addRows: (name: string, rows: Tensor, places: Tensor, height: number) => void;
}

/** The gradient of each weight, added up over micro-batches until an update takes it. */
export class Gradients extends Map<string, Tensor> implements GradientSink {
  add(name: string, part: Tensor): void {
    const before = this.get(name);
    if (before === undefined) return void this.set(name, keep(part));
    const fused = kernels();
    if (fused !== undefined) fused.addInto(before, part);
    else {
      this.set(name, keep(ops.add(before, part)));
      free(before);
    }
    free(part);
  }

  addRows(name: string, rows: Tensor, places: Tensor, height: number): void {
    const [before, fused] = [this.get(name), kernels()];
    if (before !== undefined && fused !== undefined) fused.addRowsInto(before, rows, places);
    else this.add(name, ops.segmentSum(rows, places, height));
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
