import { join } from 'node:path';
import type { DPOJobSpec } from '../../crds/dpojob.ts';
import { betaHolds, needsReference } from '../../crds/losses.ts';
import type { Metrics } from '../../crds/progress.ts';
import { isClaim, shownSource } from '../../crds/sources.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import { reasonIn } from '../data/quality/findings.ts';
import { summariseSamples, type Sample } from '../metrics/samples.ts';
import { reportName } from '../export/export.ts';
import { reportHtml } from '../report/report.ts';
import { verdictOn } from '../report/verdict.ts';
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
      lossInWords(training, watch.history.at('train', 1) ?? {}),
      ...courseOf(watch, at.step),
    ],
    verdict: verdictOn({
      pairs: data.heldOut.length,
      start: watch.history.at('heldOut', 0) ?? {},
      now: watch.history.at('heldOut', exportedStep(watch, at.step)) ?? {},
      comparison,
      signals: watch.found.map(({ reason }) => reason),
      findings: data.quality.findings.flatMap(({ beyond, dataset, reason }) =>
        beyond ? [reasonIn(dataset, reason)] : [],
      ),
      betaHolds: betaHolds(training.loss),
    }),
    reference: referenceName(run.job.spec),
    history: watch.history.entries,
    tuning: watch.tuning.entries,
    exported: exportedStep(watch, at.step),
    signals: watch.found,
    findings: data.quality.findings,
    dropped: data.quality.dropped,
    samples,
    comparison,
  });
  const mayCommit = ownOutput({ run, fence });
  writing('the report', () => writeDurably(join(run.paths.output, reportName), page, mayCommit));
  const source = `${output.source.replace(/\/$/, '')}/${reportName}`;
  report.info(`report written ${isClaim(output.source) ? 'to' : 'for'} ${source}`);
  note(report, { report: source, ...(comparison && { comparison }) });
}

/** The loss by name, and where it begins. */
function lossInWords(training: DPOJobSpec['training'], first: Metrics): string {
  const terms = training.loss.map(({ type, weight }) => (weight === 1 ? type : `${weight} × ${type}`));
  const { firstStepLoss, zeroMarginLoss } = first;
  const equal = needsReference(training) && zeroMarginLoss !== undefined;
  const why = equal ? `, and ${short(zeroMarginLoss)} where policy and reference are equal` : '';
  const begin = firstStepLoss === undefined ? '' : `; it begins at ${short(firstStepLoss)}${why}`;
  return `Loss: ${terms.join(' + ')}, with beta ${training.beta}${begin}.`;
}
const short = (value: number): string => String(Number(value.toPrecision(4)));

/** What answers beside the trained model: always the reference as it was before the preference stage. */
function referenceName({ model, sft, reference }: DPOJobSpec): string {
  if (reference.source !== undefined) return `another model, ${shownSource(reference.source)}`;
  if (sft !== undefined) return 'the model after supervised fine-tuning, before preference training';
  return model.adapter === undefined
    ? 'the model that training began with'
    : 'the model with the adapter that training began with';
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
