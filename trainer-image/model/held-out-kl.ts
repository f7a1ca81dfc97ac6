import type { HeadRows } from '../data/layout.ts';
import type { Pair } from '../data/pair.ts';
import { keep, ops, read, scope, type Tensor } from '../engine/engine.ts';
import { headRows, layOutPairs } from './groups.ts';
import { headHidden, headKl, type HeadWeights } from './head.ts';
import type { Network } from './network.ts';

/** Cuts a head call into some of at most `limit` rows each: [limit, vocabulary] logits exist at once. */
function cutRows(head: HeadRows, limit: number): HeadRows[] {
  const parts: HeadRows[] = [];
  for (let at = 0; at < head.rows.length; at += limit) {
    parts.push({ ...head, rows: head.rows.subarray(at, at + limit) });
  }
  return parts;
}

/** Exact KL of a network's answers against its own weights at an earlier moment. */
export class HeldOutKl {
  private readonly network: Network;
  private readonly limit: number;
  /**
   * Hidden states at held-out answers, by row, cut as `cutRows` does; and the projection, as it was when captured, or
   * undefined where it is the policy's own, which beside adapters never changes.
   */
  private reference: { projection: Tensor | undefined; hidden: Map<number, Tensor[]> } | undefined;

  /** `limit` bounds the positions of one call. */
  constructor(network: Network, limit = headRows) {
    this.network = network;
    this.limit = limit;
  }

  /**
   * Keeps what the KL against the present weights of `network` needs for these pairs: the policy's own, or those of another
   * model with the same vocabulary, which is not needed afterwards.
   */
  capture(pairs: readonly Pair[], network = this.network): void {
    scope(() => {
      const weights = network.readHead();
      this.reference ??= { projection: this.projectionOf(network, weights), hidden: new Map() };
      for (const pair of pairs) {
        const layout = layOutPairs([pair], Infinity);
        const { output, weights: head } = network.forward(layout);
        const parts = cutRows(layout.heads[0]!, this.limit);
        const hidden = parts.map((part) => keep(headHidden(part, output, head)));
        this.reference.hidden.set(pair.row, hidden);
      }
    });
  }

  private projectionOf(network: Network, { projection, trained }: HeadWeights): Tensor | undefined {
    if (network === this.network && !trained) return undefined;
    // A copy: a read shares the variable's buffer and would change with it.
    return keep(ops.add(projection, ops.scalar(0)));
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
        const projection = this.reference?.projection ?? weights.projection;
        const klOf = (part: HeadRows, i: number): number =>
          scope(() => read(headKl(part, output, weights, { hidden: hidden[i] as Tensor, projection }))[0] as number);
        return cutRows(head, this.limit).reduce((all, part, i) => all + klOf(part, i), 0);
      });
      positions += head.rows.length;
    }
    return { sum, positions };
  }
}
