import type { Quality, Thresholds } from '../../../crds/quality.ts';
import type { Verdict } from './gate.ts';
import { labelNoise, noisyAtAnyLength } from './label-noise.ts';
import { biasedBeyond, type LengthBias } from './length-bias.ts';
import { rowCheckNames, rowChecks, type RowCheckName } from './row-checks.ts';
import { percent } from './share.ts';
import { WorstRows, type FoundRow } from './worst-rows.ts';

/** What a check says of a data set. Every check that applies has one, also when it found nothing. */
export interface Finding {
  /** The field of dataset.quality.thresholds. */
  check: keyof Thresholds;
  dataset: 'preference' | 'sft';
  /** Reason of the warning, of rows left out, and of what is counted. */
  reason: string;
  /** Share of rows, or the measure itself; lengthBias: the accuracy of "the longer answer is chosen". */
  value: number;
  threshold: number;
  /** Whether `value` is beyond `threshold`: above it, and for diversity below it. */
  beyond: boolean;
  /** Rows that were found; absent for a check of the whole data set. */
  rows?: number;
  /** What was found, with figures and the first lines; and what to do when it is too much. */
  summary: string;
  advice: string;
  worst: FoundRow[];
}

const linesOf = (worst: readonly FoundRow[]): string => {
  const lines = worst.slice(0, 5).map(({ row }) => row);
  return `${lines.length === 1 ? 'line' : 'lines'} ${lines.join(', ')}${worst.length > 5 ? ' ...' : ''}`;
};

/** The first lines, and why the first of them: " (lines 4, 7; line 4: chosen without text)". */
function placeOf(worst: readonly FoundRow[]): string {
  const [first] = worst;
  if (first === undefined) return '';
  const lines = worst.length === 1 ? '' : `${linesOf(worst)}; `;
  return ` (${lines}line ${first.row}: ${first.why})`;
}

function rowFinding(dataset: Finding['dataset'], check: RowCheckName, verdict: Verdict, threshold: number): Finding {
  const { reason, what, advice } = rowChecks[check];
  const { count, worst } = verdict.found[check];
  const value = count / verdict.rows;
  const summary = `${count} of ${verdict.rows} rows, ${percent(value)}, ${what}${placeOf(worst)}`;
  return { check, dataset, reason, value, threshold, beyond: value > threshold, rows: count, summary, advice, worst };
}

function lengthFinding(bias: LengthBias, threshold: number): Finding {
  const { longerChosen: value, pairs } = bias;
  const side = value < 0.5 ? 'shorter' : 'longer';
  const summary = `the ${side} answer is the chosen one in ${percent(Math.max(value, 1 - value))} of ${pairs} pairs`;
  const advice = 'The model may learn length alone: balance the lengths';
  const beyond = biasedBeyond(bias, threshold);
  return {
    check: 'lengthBias',
    dataset: 'preference',
    reason: 'LengthBias',
    value,
    threshold,
    beyond,
    summary,
    advice,
    worst: [],
  };
}

const diversities = {
  promptDiversity: {
    reason: 'LowPromptDiversity',
    what: (share: string) => `the number of distinct prompts is ${share} of the number of rows`,
    advice: 'A few prompts come again and again: add others',
  },
  ngramDiversity: {
    reason: 'NearCopies',
    what: (share: string) => `${share} of the word triples in distinct prompts are distinct`,
    advice: 'Many prompts are near-copies of others: add prompts of other kinds',
  },
} as const;

function diversityFinding(
  check: keyof typeof diversities,
  dataset: Finding['dataset'],
  value: number,
  threshold: number,
): Finding {
  const { reason, what, advice } = diversities[check];
  const beyond = value < threshold;
  return { check, dataset, reason, value, threshold, beyond, summary: what(percent(value)), advice, worst: [] };
}

/** Everything that can be said of a data set before the reference pass. */
export function findingsOf(dataset: Finding['dataset'], verdict: Verdict, thresholds: Thresholds): Finding[] {
  const diversity = (check: keyof typeof diversities): Finding =>
    diversityFinding(check, dataset, verdict[check], thresholds[check]);
  const applies = (check: RowCheckName): boolean => dataset === 'preference' || rowChecks[check].ofPairs !== true;
  const { lengthBias } = verdict;
  return [
    ...rowCheckNames.filter(applies).map((check) => rowFinding(dataset, check, verdict, thresholds[check])),
    ...(lengthBias === undefined ? [] : [lengthFinding(lengthBias, thresholds.lengthBias)]),
    diversity('promptDiversity'),
    diversity('ngramDiversity'),
  ];
}

/** Of the pairs in their order: the reference's margins in nats per token, lines, and tokens of chosen minus rejected. */
export interface Judged {
  margins: Float64Array;
  rows: Uint32Array;
  lengths: Int32Array;
}

/** A share that no reference reaches by knowing nothing. */
const swappedShare = 0.75;

/** What the reference says of the labels. */
export function noiseFinding({ margins, rows, lengths }: Judged, threshold: number): Finding {
  const found = labelNoise(margins);
  const against = new WorstRows();
  margins.forEach((margin, i) => {
    const why = `the reference finds the rejected answer likelier by ${(-margin).toPrecision(3)} nats per token`;
    if (margin < 0) against.add(rows[i] as number, { why, weight: -margin });
  });
  const worst = against.rows();
  const where = worst.length === 0 ? '' : ` (most of all ${linesOf(worst)})`;
  const summary = `the reference contradicts ${percent(found.noise)} of the ${found.confident} preferences that it is sure of${where}`;
  const advice =
    found.noise > swappedShare
      ? 'Look at these rows; were chosen and rejected swapped?'
      : 'Look at these rows if the reference knows the task: one that does not contradicts about half, whatever the labels';
  const beyond = noisyAtAnyLength(margins, lengths, threshold);
  const value = found.noise;
  return {
    check: 'labelNoise',
    dataset: 'preference',
    reason: 'LabelNoise',
    value,
    threshold,
    beyond,
    summary,
    advice,
    worst,
  };
}

/** The checks whose rows are left out: with policy Drop, all that are not switched off. */
export function droppingChecks({ policy, thresholds }: Quality): RowCheckName[] {
  return policy === 'Drop' ? rowCheckNames.filter((name) => thresholds[name] < 1) : [];
}

/** Name of a reason among those of several data sets. */
export const reasonIn = (dataset: Finding['dataset'], reason: string): string =>
  dataset === 'sft' ? `SFT${reason}` : reason;
