import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { Progress } from '../../crds/progress.ts';
import type { Run } from '../config.ts';
import { exportAdapter } from '../export/adapter.ts';
import { exportModel } from '../export/export.ts';
import { checkOwner, takeOutput, type OutputFolder } from '../export/owner.ts';
import type { Learner } from '../model/learner.ts';
import { whenRead } from '../model/safetensors.ts';
import { targetLayers, type LoraSettings } from '../model/lora.ts';
import { note, type Reporter, type StageContext } from './context.ts';

/** Steps of the preference stage that are done, and all that were planned. */
export interface At {
  step: number;
  totalSteps: number;
}

const outputOf = ({ job, paths }: Run): OutputFolder => ({ source: job.spec.output.source, folder: paths.output });

/** Before any compute: throws InvalidConfiguration when the job's output holds a model that is not the job's. */
export const checkOutputOwner = (run: Run): void => checkOwner(outputOf(run), run.job);

/**
 * Makes the output the job's, before the first file is put there. What it returns is called before each file takes its
 * place: it throws when the run or the output has become another's meanwhile. Throws as `checkOutputOwner` does, Fenced and DiskFull.
 */
export function ownOutput({ run, fence }: Pick<StageContext, 'run' | 'fence'>): () => void {
  takeOutput(outputOf(run), run.job, () => fence.check());
  return () => {
    fence.check();
    checkOutputOwner(run);
  };
}

/** Exports the learner's weights to the job's output. */
export function exportTrained({ run, learner, report, fence }: StageContext, at: At): Progress['output'] {
  const mayCommit = ownOutput({ run, fence });
  const { source, format } = run.job.spec.output;
  report.info(`exporting the ${format} to ${source}`);
  report.beat({ stage: 'Exporting', ...at });
  const digest = exporters[format](run, learner, { report, mayCommit });
  return { source, digest };
}

/** What `output.format` may name. */
const exporters = {
  model: ({ job, paths }, learner, { report, mayCommit }) => {
    const how = { mayCommit, beat: () => note(report, {}) };
    const weights = whenRead(learner.mergedWeights(), () => report.beat());
    const { chatTemplate } = job.spec.model;
    return exportModel(paths.model, paths.output, { raw: learner.network.raw, weights, chatTemplate }, how);
  },
  adapter: ({ job, paths }, learner, { report, mayCommit }) => {
    const { source } = job.spec.model;
    const { blockShapes, denseLayout } = learner.network.architecture;
    const settings = job.spec.training.lora as LoraSettings;
    const targets = targetLayers(blockShapes, settings.targetModules);
    const adapter = {
      settings,
      targets,
      weights: learner.weights(),
      base: source,
      fanInFanOut: denseLayout === 'in-out',
    };
    return exportAdapter(paths.output, adapter, { mayCommit, beat: () => note(report, {}) });
  },
} satisfies Record<
  DPOJobSpec['output']['format'],
  (run: Run, learner: Learner, how: { report: Reporter; mayCommit: () => void }) => string
>;
