import { train } from '../../trainer-image/train.ts';
import {
  exchanged,
  listen,
  prepareTiny,
  shiftReference,
  tinyJob,
  type Heard,
  type PreferenceRow,
} from './in-process.ts';

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

/** A run that finds its policy apart from the reference at the first step: the stored log-probabilities are another's. */
export async function trainApart(): Promise<Heard> {
  const { run } = prepareTiny(plain);
  const stopped = listen();
  const beat = (part?: Parameters<Heard['beat']>[0]): void => {
    stopped.beat(part);
    // The reference's log-probabilities are stored: the first evaluation is under way.
    if (part?.stage === 'Evaluating') throw new Error('killed');
  };
  await train(run, 'test', { ...stopped, beat }).catch(() => {});
  await shiftReference(run, -3);
  const heard = listen();
  await train(run, 'test', heard);
  return heard;
}
