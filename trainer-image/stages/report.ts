import { join } from 'node:path';
import { isClaim, shownSource } from '../../crds/sources.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import { summariseSamples, type Sample } from '../metrics/samples.ts';
import { reportName } from '../export/export.ts';
import { reportHtml } from '../report/report.ts';
import { note, type StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { ownOutput } from './export.ts';

/** Writes the run's report beside the model, and says where it is and what the comparison came to. */
export function writeReport(
  { run, report, fence, watch, learner }: StageContext,
  data: RunData,
  samples: readonly Sample[],
): void {
  const { model, dataset, sft, training, evaluation, checkpoint, output } = run.job.spec;
  const comparison = summariseSamples(samples);
  const page = reportHtml({
    namespace: run.job.namespace,
    name: run.job.name,
    time: new Date().toISOString(),
    settings: { model, dataset, sft, training, evaluation, checkpoint, output },
    facts: [
      `${shownSource(model.source)} (${learner.parameterCount.toLocaleString('en')} parameters), trained on ${data.train.length} pairs into ${output.source}; ${data.heldOut.length} pairs held out.`,
      ...verdict(watch),
    ],
    history: watch.history.entries,
    signals: watch.found,
    findings: data.quality.findings,
    dropped: data.quality.dropped,
    samples,
    comparison,
  });
  ownOutput({ run, fence });
  writing('the report', () => writeDurably(join(run.paths.output, reportName), page, () => fence.check()));
  const source = `${output.source.replace(/\/$/, '')}/${reportName}`;
  report.info(`report written ${isClaim(output.source) ? 'to' : 'for'} ${source}`);
  note(report, { report: source, ...(comparison && { comparison }) });
}

/** Which step was best, and why the run ended early, as sentences. */
function verdict({ verdict: { best, stoppedEarly } }: StageContext['watch']): string[] {
  const exported = best?.exported === true ? ', whose weights are exported' : '';
  return [
    ...(best === undefined
      ? []
      : [`Best ${best.metric}: ${best.value.toPrecision(4)} at step ${best.step}${exported}.`]),
    ...(stoppedEarly === undefined ? [] : [`Stopped early at step ${stoppedEarly.step}: ${stoppedEarly.message}.`]),
  ];
}
