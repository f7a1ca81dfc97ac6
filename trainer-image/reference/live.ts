import { ops, scope, type Variable } from '../engine/engine.ts';
import type { Pair } from '../data/pair.ts';
import { sumTokens, type PairLogProbs } from '../loss/scores.ts';
import { splitPairs } from '../model/groups.ts';
import { Learner, type SavedValues, type StateTensor, type Training } from '../model/learner.ts';

/** Loads a reference model of its own, without the policy's adapters; `beat` after each weight. */
export function loadReference(folder: string, training: Training, beat: () => void): Learner {
  const plain = { ...training };
  delete plain.lora;
  return new Learner(folder, plain, { beat });
}

/** Frees a model that is not needed any more. */
export function release({ network }: Learner): void {
  network.variables.forEach((variable) => variable.dispose());
}

/** Names in checkpoints. */
const nameOf = (name: string): string => `reference.${name}`;

/** How the reference follows the policy. */
export interface Sync {
  /** Every so many steps. */
  steps: number;
  /** Share of the policy in the mixture. */
  alpha: number;
}

/** reference <- alpha policy + (1 - alpha) reference, in place. */
function mix(reference: Variable, policy: Variable, alpha: number): void {
  scope(() => {
    const kept = ops.mul(reference.read(), ops.scalar(1 - alpha));
    reference.assign(ops.add(kept, ops.mul(policy.read(), ops.scalar(alpha))));
  });
}

/**
 * A reference in memory beside the policy. With `sync` it follows the policy (TR-DPO, Gorbatovski et al. 2024, arXiv
 * 2404.09656, eq. 7, as TRL's SyncRefModelCallback does), and is part of the run's state.
 */
export class LiveReference {
  private readonly model: Learner;
  private readonly policy: Learner;
  private readonly sync: Sync | undefined;

  constructor(model: Learner, policy: Learner, sync: Sync | undefined) {
    this.model = model;
    this.policy = policy;
    this.sync = sync;
  }

  /** The model, where it stays as it was at the start. */
  get atStart(): Learner | undefined {
    return this.sync === undefined ? this.model : undefined;
  }

  /** Log-probabilities of pairs under the present reference; `beat` after each micro-batch, it may throw to stop. */
  logProbs(pairs: readonly Pair[], beat: () => void): PairLogProbs[] {
    const { microBatchTokens, ldAlpha } = this.policy.training;
    return splitPairs(pairs, microBatchTokens).flatMap((batch) => {
      const found = this.model.tokenLogProbs(batch).map((tokens) => sumTokens(tokens, { ldAlpha }));
      beat();
      return found;
    });
  }

  /** To be called after each optimizer step, when `steps` are done. */
  stepTaken(steps: number): void {
    const { sync, model, policy } = this;
    if (sync === undefined || steps % sync.steps !== 0) return;
    const own = new Map(policy.network.variables.map((variable) => [variable.name, variable]));
    model.network.variables.forEach((variable) => mix(variable, own.get(variable.name) as Variable, sync.alpha));
  }

  /** What an exact resume needs from here. */
  state(): StateTensor[] {
    if (this.sync === undefined) return [];
    return this.model.weights().map((tensor) => ({ ...tensor, name: nameOf(tensor.name) }));
  }

  restore(saved: SavedValues): void {
    if (this.sync !== undefined) this.model.restoreWeights((name, shape) => saved(nameOf(name), shape));
  }
}
