import type { DataMeasures, Metrics } from '../../crds/progress.ts';
import { jobDataFindingsName, jobDataMeasureNames, jobGaugeNames } from '../../operator/serve/names.ts';
import { dataFindingsName, dataMeasureNames, gaugeNames } from '../../trainer-image/metrics/names.ts';

/** The jobs that the dashboard's variables choose. */
export const chosen = '{namespace=~"$namespace",dpojob=~"$dpojob"}';

const trainerElseOperator = (trainer: string, operator: string, labels: string): string => {
  const by = (metric: string): string => `max by (${labels}) (${metric}${chosen})`;
  return `${by(trainer)} or ${by(operator)}`;
};

/**
 * A figure of the chosen jobs: as the trainer's pod shows it, at every step; where there is no pod any more, as the operator
 * keeps it.
 */
export const figure = (name: keyof Metrics): string =>
  trainerElseOperator(gaugeNames[name], jobGaugeNames[name], 'namespace, dpojob');

/** A measure of the chosen jobs' data, likewise. */
export const dataMeasure = (name: keyof DataMeasures): string =>
  trainerElseOperator(dataMeasureNames[name], jobDataMeasureNames[name], 'namespace, dpojob');

/** Rows of the chosen jobs' data that the checks found, by reason, likewise. */
export const dataFindings = trainerElseOperator(dataFindingsName, jobDataFindingsName, 'namespace, dpojob, reason');
