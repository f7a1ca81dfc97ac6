import type { Pair } from '../data/pair.ts';
import { keep, ops, read, scope, type Tensor } from '../engine/engine.ts';
import { layOutPairs } from './groups.ts';
import { headHidden, headKl } from './head.ts';
import type { Network } from './network.ts';

/** Exact KL of a network's answers against its own weights at an earlier moment. */
export class HeldOutKl {
  private readonly network: Network;
  /** Hidden states at held-out answers, by row, and the projection, as they were when captured. */
  private reference: { projection: Tensor; hidden: Map<number, Tensor> } | undefined;

  constructor(network: Network) {
    this.network = network;
  }

  /** Keeps what the KL against the present weights needs for these pairs. */
  capture(pairs: readonly Pair[]): void {
    scope(() => {
      const weights = this.network.readHead();
      // A copy: a read shares the variable's buffer and would change with it.
      this.reference ??= { projection: keep(ops.add(weights.projection, ops.scalar(0))), hidden: new Map() };
      for (const pair of pairs) {
        const layout = layOutPairs([pair], Infinity);
        const { output, weights: head } = this.network.forward(layout);
        this.reference.hidden.set(pair.row, keep(headHidden(layout.heads[0]!, output, head)));
      }
    });
  }

  /** Sum of KL(policy || reference) over the answer positions of captured pairs, and the number of positions. */
  measure(pairs: readonly Pair[]): { sum: number; positions: number } {
    let [sum, positions] = [0, 0];
    for (const pair of pairs) {
      const hidden = this.reference?.hidden.get(pair.row);
      if (hidden === undefined) throw new Error(`row ${pair.row} was not captured for the reference`);
      const layout = layOutPairs([pair], Infinity);
      const head = layout.heads[0]!;
      sum += scope(() => {
        const { output, weights } = this.network.forward(layout);
        const projection = (this.reference as { projection: Tensor }).projection;
        return read(headKl(head, output, weights, { hidden, projection }))[0] as number;
      });
      positions += head.rows.length;
    }
    return { sum, positions };
  }
}
