import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  type Dashboard,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import type { DataMeasures, Metrics } from '../../crds/progress.ts';
import { jobRunNames } from '../../operator/serve/names.ts';
import { chosen, dataFindings, dataMeasure, figure } from './figures.ts';

const datasource = { type: 'prometheus', uid: '${datasource}' };

interface Line {
  expression: string;
  legend: string;
}

const query = ({ expression, legend }: Line, i: number): DataqueryBuilder =>
  new DataqueryBuilder()
    .expr(expression)
    .legendFormat(legend)
    .refId(String.fromCharCode(65 + i))
    .datasource(datasource);

/** A panel of lines over time; its description says what to look for. */
function panel(title: string, description: string, lines: Line[], unit = 'short'): PanelBuilder {
  const made = new PanelBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .height(8)
    .span(8);
  return lines.reduce((built, line, i) => built.withTarget(query(line, i)), made);
}

const line = (name: keyof Metrics, what = ''): Line => ({
  expression: figure(name),
  legend: `{{namespace}}/{{dpojob}}${what === '' ? '' : ` ${what}`}`,
});
const run = (name: keyof typeof jobRunNames): Line => ({
  expression: `max by (namespace, dpojob) (${jobRunNames[name]}${chosen})`,
  legend: '{{namespace}}/{{dpojob}}',
});

const training = (): PanelBuilder[] => [
  panel('Loss', 'Loss of the step. That of sigmoid begins at ln 2 = 0.693, where policy and reference are equal.', [
    line('loss'),
  ]),
  panel('Beta', 'Higher beta holds the policy nearer to the reference.', [line('beta')]),
  panel('Reward margin', 'Chosen minus rejected reward: grows as the preference is learnt. Without end: overfitting.', [
    line('rewardMargin'),
  ]),
  panel(
    'Reward accuracy',
    'Share of pairs whose chosen answer has the higher reward.',
    [line('rewardAccuracy')],
    'percentunit',
  ),
  panel('Rewards', 'Both falling, the rejected one faster, is common; a chosen reward far below 0 is displacement.', [
    line('rewardChosen', 'chosen'),
    line('rewardRejected', 'rejected'),
  ]),
  panel('Log-probabilities', 'Summed over an answer. A chosen one that falls and falls: likelihood displacement.', [
    line('logpsChosen', 'chosen'),
    line('logpsRejected', 'rejected'),
  ]),
  panel('Learning rate', 'Warm-up, then decay.', [line('learningRate')], 'sci'),
  panel('Gradient norm', 'Before clipping.', [line('gradNorm')]),
  panel('Throughput', 'Tokens trained per second.', [line('tokensPerSecond')]),
];

const tuning = (): PanelBuilder[] => [
  panel('SFT loss', 'Falls and flattens; held-out rising again: fewer epochs of fine-tuning.', [
    line('sftLoss', 'training'),
    line('evalSftLoss', 'held-out'),
  ]),
];

const heldOut = (): PanelBuilder[] => [
  panel('Held-out loss', 'Rising while the training loss falls: overfitting.', [
    line('evalLoss'),
    line('loss', 'training'),
  ]),
  panel('Held-out reward margin', 'On pairs that are not trained on.', [line('evalRewardMargin')]),
  panel('Held-out reward accuracy', 'On pairs that are not trained on.', [line('evalRewardAccuracy')], 'percentunit'),
  panel('KL from the reference', 'How far the policy went from the reference; more beta holds it nearer.', [
    line('evalKL'),
  ]),
];

const measure = (name: keyof DataMeasures, what: string): Line => ({
  expression: dataMeasure(name),
  legend: `{{namespace}}/{{dpojob}} ${what}`,
});

const data = (): PanelBuilder[] => [
  panel('Data findings', 'Rows that a check of dataset.quality found, by reason; data-report.json names the lines.', [
    { expression: dataFindings, legend: '{{namespace}}/{{dpojob}} {{reason}}' },
  ]),
  panel(
    'Length bias and label noise',
    'How often the longer answer is the chosen one: far from 50 %, length alone tells. Wrong preferences, as the reference sees them.',
    [measure('lengthBias', 'longer is chosen'), measure('labelNoise', 'label noise')],
    'percentunit',
  ),
  panel(
    'Prompt diversity',
    'Distinct prompts per row, and distinct word triples in them: low means copies and near-copies.',
    [measure('promptDiversity', 'prompts'), measure('ngramDiversity', 'word triples')],
    'percentunit',
  ),
];

const jobs = (): (StatBuilder | PanelBuilder)[] => [
  new StatBuilder()
    .title('Jobs by state')
    .description('DPOJobs of the chosen namespaces.')
    .datasource(datasource)
    .height(8)
    .span(8)
    .withTarget(
      query({ expression: `sum by (state) (${jobRunNames.state}{namespace=~"$namespace"})`, legend: '{{state}}' }, 0),
    ),
  panel('Progress', 'Share of the whole run that is done.', [run('percent')], 'percent'),
  panel('Restarts', 'Pods that ended without finishing the job.', [run('restarts')]),
];

const choice = (name: string, label: string, values: string): QueryVariableBuilder =>
  new QueryVariableBuilder(name)
    .label(label)
    .query({ query: values, refId: name })
    .datasource(datasource)
    .refresh(2)
    .sort(1)
    .multi(true)
    .includeAll(true)
    .allValue('.*');

/** The dashboard, as Grafana imports it. */
export function dashboard(): Dashboard {
  const rows = {
    Jobs: jobs(),
    'Supervised fine-tuning': tuning(),
    Training: training(),
    'Held-out evaluation': heldOut(),
    Data: data(),
  };
  const built = new DashboardBuilder('DPO training')
    .uid('dpo-training')
    .description('Loss, beta and reward margin of DPOJobs, and what else tells how a training goes.')
    .tags(['dpo', 'training'])
    .refresh('30s')
    .time({ from: 'now-3h', to: 'now' })
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(choice('namespace', 'Namespace', `label_values(${jobRunNames.state}, namespace)`))
    .withVariable(choice('dpojob', 'DPOJob', `label_values(${jobRunNames.state}{namespace=~"$namespace"}, dpojob)`));
  for (const [title, panels] of Object.entries(rows)) {
    built.withRow(new RowBuilder(title));
    for (const one of panels) built.withPanel(one);
  }
  return built.build();
}

export const dashboardJson = (): string => `${JSON.stringify(dashboard(), null, 2)}\n`;
