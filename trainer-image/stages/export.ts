import type { Progress } from '../../crds/progress.ts';
import { exportModel } from '../export/export.ts';
import type { StateTensor } from '../model/learner.ts';
import type { Reporter, StageContext } from './context.ts';

/** Steps of the preference stage that are done, and all that were planned. */
export interface At {
  step: number;
  totalSteps: number;
}

/** Exports the learner's weights to the job's output. */
export function exportTrained({ run, learner, report, fence }: StageContext, at: At): Progress['output'] {
  const { source } = run.job.spec.output;
  report.info(`exporting the model to ${source}`);
  report.beat({ stage: 'Exporting', ...at });
  const { chatTemplate } = run.job.spec.model;
  const weights = learner.weights().map((weight) => beating(weight, report));
  const exported = { raw: learner.network.raw, weights, chatTemplate };
  const digest = exportModel(run.paths.model, run.paths.output, exported, () => fence.check());
  return { source, digest };
}

/** A tensor that beats when it is read to be written. */
const beating = ({ read, ...tensor }: StateTensor, report: Reporter): StateTensor => ({
  ...tensor,
  read: () => {
    report.beat();
    return read();
  },
});
