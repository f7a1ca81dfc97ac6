import { join } from 'node:path';
import { createLogger, format, transports } from 'winston';
import type { Progress } from '../crds/progress.ts';
import type { BetaResult, Sweep } from './metrics/choose-beta.ts';

/** How a run shows itself: a progress bar on a terminal, JSON lines elsewhere. */
export interface Display {
  progress(progress: Progress): void;
  line(level: 'info' | 'warn' | 'error', message: string, fields?: object): void;
  sweep(sweep: Sweep): void;
}

const width = 24;
const round = (value: number | undefined, digits = 4): string =>
  value === undefined ? '-' : value.toPrecision(digits);

/** The last line of a run: its figures, and where on this machine the model and the report are. */
export function resultOf({ metrics, comparison }: Progress, folder: string): string {
  const figures = [
    ['loss', metrics.loss],
    ['held-out loss', metrics.evalLoss],
    ['held-out accuracy', metrics.evalRewardAccuracy],
    ['held-out margin', metrics.evalRewardMargin],
    ['KL from the reference', metrics.evalKL],
  ] as const;
  const known = figures.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${round(value, 3)}`]));
  const compared = comparison === undefined ? '' : `; answers compared in ${join(folder, 'report.html')}`;
  return `${known.join(', ')}; the model is in ${folder}${compared}`;
}

/** One line for people: bar, stage, step and the figures that matter. */
export function barOf({ percent, stage, stageStep, stageTotal, metrics, etaSeconds }: Progress): string {
  const filled = Math.round((percent / 100) * width);
  const bar = '█'.repeat(filled) + '░'.repeat(width - filled);
  const figures =
    stage === 'SFT'
      ? `loss ${round(metrics.sftLoss)}`
      : `loss ${round(metrics.loss)} margin ${round(metrics.rewardMargin)} accuracy ${round(metrics.evalRewardAccuracy ?? metrics.rewardAccuracy, 3)}`;
  const steps = stageTotal > 0 ? ` ${stageStep}/${stageTotal}` : '';
  const left =
    etaSeconds === undefined
      ? ''
      : ` ${Math.floor(etaSeconds / 60)}:${String(Math.round(etaSeconds % 60)).padStart(2, '0')} left`;
  return `${bar} ${percent.toFixed(0).padStart(3)} % ${stage}${steps}  ${figures}${left}`;
}

const sweepColumns: [title: string, value: (result: BetaResult) => string][] = [
  ['beta', ({ beta }) => String(beta)],
  ['loss', ({ loss }) => round(loss)],
  ['accuracy', ({ accuracy }) => round(accuracy, 3)],
  ['margin', ({ margin }) => round(margin, 3)],
  ['KL', ({ kl }) => round(kl, 3)],
  ['chosen log-prob', ({ chosenLogProbChange: change }) => `${change > 0 ? '+' : ''}${round(change, 3)}`],
];

/** Held-out figures of a sweep's betas as a table, and the beta that it would take. */
export function sweepTable({ results, choice }: Sweep): string {
  const columns = sweepColumns.map(([title, value]) => [title, ...results.map(value)]);
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  const lines = [-1, ...results.keys()].map((row) =>
    columns.map((cells, i) => (cells[row + 1] as string).padStart(widths[i] as number)).join('  '),
  );
  return [...lines, '', `beta ${choice.beta}: ${choice.reason}`].join('\n');
}

function terminal(): Display {
  const clear = '\r\u001b[2K';
  return {
    progress: (progress) => void process.stdout.write(clear + barOf(progress)),
    line: (level, message) => void process.stdout.write(`${clear}${level === 'info' ? '' : `${level}: `}${message}\n`),
    sweep: (sweep) => void process.stdout.write(`${clear}${sweepTable(sweep)}\n`),
  };
}

/** A step in a log: where the run stands, then its figures in six digits, those that people look for first. */
export function logFields({ stage, stageStep, stageTotal, step, percent, metrics }: Progress): Record<string, unknown> {
  const { loss, rewardMargin, rewardAccuracy } = metrics;
  const figures = Object.entries({ loss, rewardMargin, rewardAccuracy, ...metrics }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Number(value.toPrecision(6))] as const],
  );
  return { stage, stageStep, stageTotal, step, percent: Math.round(percent), ...Object.fromEntries(figures) };
}

/** JSON lines; a step once, an evaluation once, other beats at most every ten seconds. */
function jsonLines(): Display {
  const logger = createLogger({
    // Fields in their own order, those that people look for first: sorted ones would begin with beta.
    format: format.combine(format.timestamp(), format.json({ deterministic: false })),
    transports: [new transports.Console()],
  });
  let last = { key: '', at: 0 };
  return {
    line: (level, message, fields = {}) => void logger.log(level, message, fields),
    sweep: (sweep) => void logger.info('sweep', sweep),
    progress: (progress) => {
      const { stage, stageStep, metrics } = progress;
      const key = `${stage} ${stageStep} ${metrics.evalLoss}`;
      const now = Date.now();
      if (key === last.key || (stage !== 'Training' && stage !== 'Done' && now - last.at < 10_000)) return;
      last = { key, at: now };
      logger.info('progress', logFields(progress));
    },
  };
}

export const createDisplay = (): Display => (process.stdout.isTTY ? terminal() : jsonLines());
