/**
 * Which fields of a stored spec may change. All others are immutable: a run that has begun keeps its model, data and plan.
 * The rules stand on the parent, so that adding or removing a field is caught as well.
 */
interface Rule {
  rule: string;
  message: string;
}

/** Immutable always. */
const fixed = [
  'model',
  'dataset',
  'sft',
  'training',
  'reference',
  'output',
  'cache',
  'accelerator',
  'workers',
  'managedBy',
];
/** May change while `suspend: true` is stored. */
const whileSuspended = ['resources', 'pod'];
/** Parts of `checkpoint` that are immutable; everySteps and keep take effect at the next attempt. */
const fixedInCheckpoint = ['everySeconds', 'gracePeriodSeconds', 'volume'];
/** Parts of `evaluation` that are immutable: they decide which weights are exported and how these are shown. */
const fixedInEvaluation = ['metricForBest', 'loadBestModelAtEnd', 'earlyStopping', 'compare'];

const unchanged = (path: string): string =>
  `has(self.${path}) == has(oldSelf.${path}) && (!has(self.${path}) || self.${path} == oldSelf.${path})`;

/** CEL transition rules of `spec`. */
export const immutableRules: readonly Rule[] = [
  ...fixed.map((field) => ({
    rule: unchanged(field),
    message: `spec.${field} is immutable: make a new DPOJob instead`,
  })),
  ...whileSuspended.map((field) => ({
    rule: `(has(oldSelf.suspend) && oldSelf.suspend) || (${unchanged(field)})`,
    message: `spec.${field} may change only while spec.suspend is true`,
  })),
  ...fixedInCheckpoint.map((field) => ({
    rule: unchanged(`checkpoint.${field}`),
    message: `spec.checkpoint.${field} is immutable: only everySteps and keep may change`,
  })),
  ...fixedInEvaluation.map((field) => ({
    rule: unchanged(`evaluation.${field}`),
    message: `spec.evaluation.${field} is immutable: only everySteps may change`,
  })),
];
