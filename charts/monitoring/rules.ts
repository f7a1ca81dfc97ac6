import { stringify } from 'yaml';
import { controllerNames, jobGaugeNames, jobRunNames } from '../../operator/serve/names.ts';
import { bounds } from '../../trainer-image/metrics/signals.ts';

interface Alert {
  alert: string;
  expr: string;
  for: string;
  severity: 'info' | 'warning' | 'critical';
  summary: string;
  /** What it means and what to do. */
  description: string;
}

const which = '{{ $labels.namespace }}/{{ $labels.dpojob }}';
const running = `and on (namespace, dpojob) ${jobRunNames.state}{state="Running"} == 1`;
const ranBefore = `and on (namespace, dpojob) ${jobRunNames.state}{state="Running"} offset 15m == 1`;
const noRoom = 'Unschedulable|QuotaExceeded';
const { evalLoss, loss, evalLogpsChosen, rewardAccuracy, rewardMargin } = jobGaugeNames;

export const alerts: Alert[] = [
  {
    alert: 'DPOJobStalled',
    // Of a job that tells for a quarter of an hour: of a younger one nothing can be said.
    expr: `changes(${jobRunNames.percent}[15m]) == 0 and ${jobRunNames.percent} offset 15m ${running} ${ranBefore}`,
    for: '5m',
    severity: 'warning',
    summary: `${which} makes no progress`,
    description:
      'Running, but nothing moved for 15 minutes. Look at the pod’s log before progressDeadlineSeconds, where it is set, ends the job: the pod goes with it.',
  },
  {
    alert: 'DPOJobNotScheduled',
    // One that waits after a crash is Restarting. By job alone: what tells of it may change while it waits.
    expr: `max by (namespace, dpojob) (${jobRunNames.state}{state=~"Pending|Queued"} or ${jobRunNames.amiss}{reason=~"${noRoom}"}) == 1`,
    for: '30m',
    severity: 'warning',
    summary: `${which} has waited for half an hour`,
    description:
      'No node or quota for it: kubectl describe dpojob tells the reason. startDeadlineSeconds ends such jobs.',
  },
  {
    alert: 'DPOJobCannotRun',
    // Waiting for room is DPOJobNotScheduled's.
    expr: `${jobRunNames.amiss}{reason!~"${noRoom}"} == 1`,
    for: '15m',
    severity: 'warning',
    summary: `${which} cannot run: {{ $labels.reason }}`,
    description:
      'It has been so for 15 minutes and will not mend itself: kubectl describe dpojob tells what is missing or wrong.',
  },
  {
    alert: 'DPOLossNotFinite',
    // The trainer stops before it reports such a loss.
    expr: `${jobRunNames.failed}{reason="NonFinite"} == 1`,
    for: '0m',
    severity: 'critical',
    summary: `${which} failed: loss or gradient is not a number`,
    description: 'Lower training.learningRate or training.maxGradNorm, and look at the rows that the log names.',
  },
  {
    alert: 'DPOFirstStepLoss',
    // ln 2 for sigmoid; other losses have their own value there, and that of a large one is less exact.
    expr: `abs(${jobGaugeNames.firstStepLoss} - ${jobGaugeNames.zeroMarginLoss}) > ${bounds.firstStepLoss} * clamp_min(${jobGaugeNames.zeroMarginLoss}, 1) ${running}`,
    for: '0m',
    severity: 'warning',
    summary: `${which}: the first loss is not the loss at zero margin`,
    description:
      'Policy and reference are equal before the first step, so this cannot be: the weights changed in between, or the sums are not exact. Report it with the trainer’s log.',
  },
  {
    alert: 'DPOMarginRunaway',
    expr: `${rewardMargin} > ${bounds.margin} and ${rewardAccuracy} == 1 ${running}`,
    for: '5m',
    severity: 'warning',
    summary: `${which}: margin runs away with accuracy 1`,
    description:
      'Nothing is left to learn from these pairs and the policy moves on: fewer epochs, more data or a higher beta.',
  },
  {
    alert: 'DPOLikelihoodDisplacement',
    expr: `${evalLogpsChosen} - max_over_time(${evalLogpsChosen}[6h]) < -${bounds.fallenShare} * abs(max_over_time(${evalLogpsChosen}[6h])) ${running}`,
    for: '5m',
    severity: 'warning',
    summary: `${which}: chosen answers lose likelihood`,
    description: 'The held-out log-probability of chosen answers fell by a fifth. A higher beta, or SFT on them first.',
  },
  {
    alert: 'DPOHeldOutLossRising',
    expr: `delta(${evalLoss}[1h]) > ${bounds.risenLoss} and on (namespace, dpojob) delta(${loss}[1h]) < 0 ${running}`,
    for: '5m',
    severity: 'warning',
    summary: `${which} overfits`,
    description: 'Held-out loss rises while the training loss falls: stop here, train fewer epochs or raise beta.',
  },
  {
    alert: 'DPOCheckpointTooOld',
    expr: `time() - ${jobRunNames.checkpointTime} > 3600 ${running}`,
    for: '5m',
    severity: 'warning',
    summary: `${which}: the newest checkpoint is over an hour old`,
    description: 'So much would be lost with the pod: lower checkpoint.everySteps, or look whether the volume is full.',
  },
  {
    alert: 'DPOOperatorNoLeader',
    // By release: another that leads looks after other namespaces.
    expr: `sum by (namespace, job) (${controllerNames.leader}{name="dpo-operator"}) < 1 or absent(${controllerNames.leader}{name="dpo-operator"})`,
    for: '2m',
    severity: 'critical',
    summary: 'No DPO operator leads',
    description: 'No DPOJob is looked after; running trainers go on. Look at the operator’s pods and their Lease.',
  },
  {
    alert: 'DPOOperatorWatchStale',
    expr: `${controllerNames.watchAge} > 300`,
    for: '5m',
    severity: 'critical',
    summary: 'The DPO operator hears nothing of {{ $labels.resource }}',
    description:
      'Bookmarks come every minute: the connection to the API server is broken, or a namespace of watchNamespaces was deleted or lost its Role (see the log).',
  },
];

/** The groups of a PrometheusRule or a rule file. */
export function ruleGroups(): object {
  const rules = alerts.map(({ alert, expr, for: time, severity, summary, description }) => ({
    alert,
    expr,
    for: time,
    labels: { severity },
    annotations: { summary, description },
  }));
  return { groups: [{ name: 'dpo-operator', rules }] };
}

export const rulesYaml = (): string =>
  `# Generated from charts/monitoring/rules.ts by \`npm run generate\`: do not edit.\n${stringify(ruleGroups(), { lineWidth: 0 })}`;
