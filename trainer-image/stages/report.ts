import { join } from 'node:path';
import { isClaim, shownSource } from '../../crds/sources.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import { summariseSamples, type Sample } from '../metrics/samples.ts';
import { reportName } from '../export/export.ts';
import { reportHtml } from '../report/report.ts';
import { note, type StageContext } from './context.ts';
import type { RunData } from './data.ts';
import { ownOutput, type At } from './export.ts';

/** Writes the run's report beside the model, and says where it is and what the comparison came to. */
export function writeReport(
  { run, report, fence, watch, learner }: StageContext,
  data: RunData,
  { samples, at }: { samples: readonly Sample[]; at: At },
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
      ...courseOf(watch, at.step),
    ],
    history: watch.history.entries,
    exported: exportedStep(watch, at.step),
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

type Watched = Pick<StageContext['watch'], 'verdict'>;

/** The step whose weights are exported. */
const exportedStep = ({ verdict: { best } }: Watched, last: number): number =>
  best?.exported === true ? best.step : last;

/** Which step was best, which one is exported, and why the run ended early, as sentences. */
function courseOf(watch: Watched, last: number): string[] {
  const { best, stoppedEarly } = watch.verdict;
  const exported = exportedStep(watch, last);
  const which =
    exported === best?.step ? 'whose weights are exported' : `but the weights of step ${exported} are exported`;
  return [
    ...(best === undefined
      ? []
      : [`Best ${best.metric}: ${best.value.toPrecision(4)} at step ${best.step}, ${which}.`]),
    ...(stoppedEarly === undefined ? [] : [`Stopped early at step ${stoppedEarly.step}: ${stoppedEarly.message}.`]),
  ];
}
