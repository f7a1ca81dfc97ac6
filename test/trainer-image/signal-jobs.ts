import { exchanged, tinyJob, type PreferenceRow } from './in-process.ts';

export interface SignalJob {
  spec: string;
  make: (rows: PreferenceRow[]) => { pairs?: PreferenceRow[]; contrary?: PreferenceRow[] };
}

const plain = tinyJob.replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '');
const heldOutElsewhere = plain.replace('holdout: 0.2', 'evalSource: pvc://data/contrary.jsonl');
const course = (learningRate: string, steps: number): string =>
  `learningRate: ${learningRate}, schedule: constant, maxSteps: ${steps},`;

/** An answer that says the same three times: what makes it unlikely makes its words unlikely, also said once. */
function thrice(answer: unknown): unknown {
  const [message] = answer as [{ role: string; content: string }];
  return [{ ...message, content: Array(3).fill(message.content).join(' ') }];
}

/** Small jobs on data made so that each trouble of a preference run really shows in their figures. */
export const signalJobs = {
  MarginRunaway: { spec: plain.replace('learningRate: 1e-2,', course('1e-1', 14)), make: () => ({}) },
  HeldOutLossRising: {
    spec: heldOutElsewhere.replace('learningRate: 1e-2,', course('1e-2', 4)),
    make: (rows) => ({ contrary: exchanged(rows.slice(0, 4)) }),
  },
  LikelihoodDisplacement: {
    spec: plain.replace('learningRate: 1e-2,', `${course('1e-1', 7)} beta: 0.02,`),
    make: (rows) => ({ pairs: rows.map(({ prompt, chosen }) => ({ prompt, chosen, rejected: thrice(chosen) })) }),
  },
} satisfies Record<string, SignalJob>;
