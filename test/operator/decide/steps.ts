import { array, constant, constantFrom, integer, oneof, record, tuple, type Arbitrary } from 'fast-check';
import type { DPOJob } from '../../../crds/dpojob.ts';

/** One thing that users, pods, clocks or the network do to a DPOJob. */
export type Step =
  | { do: 'suspend' | 'resume' | 'start' | 'gone' | 'deleteJob' | 'pullError' | 'loseNode' | 'findNode' }
  | { do: 'queue' | 'admit' }
  /** A Job of the attempt before is seen again. */
  | { do: 'reappear' }
  /** Another operator leads, which saw all pods go and read how none of them ended. */
  | { do: 'takeOver' }
  | { do: 'exit'; code: number; checkpoint: boolean }
  | { do: 'disrupt' | 'outOfMemory' | 'evict' }
  | { do: 'answer'; stalls: boolean }
  | { do: 'wait'; seconds: number }
  | { do: 'jump'; seconds: number }
  | { do: 'change'; spec: Partial<DPOJob['spec']> }
  /** The next look fails: nothing is written, or the status alone, or it rests on what was seen one look before. */
  | { do: 'fault'; of: 'write' | 'act' | 'stale' };

const simple = (
  ...names: Exclude<Step['do'], 'exit' | 'answer' | 'wait' | 'jump' | 'change' | 'fault'>[]
): Arbitrary<Step> => constantFrom(...names.map((name) => ({ do: name }) as Step));

const aStep: Arbitrary<Step> = oneof(
  { weight: 6, arbitrary: simple('suspend', 'resume', 'start', 'gone', 'pullError', 'loseNode', 'findNode') },
  {
    weight: 2,
    arbitrary: simple('disrupt', 'outOfMemory', 'evict', 'deleteJob', 'queue', 'admit', 'reappear', 'takeOver'),
  },
  {
    weight: 3,
    arbitrary: record({
      do: constant('exit' as const),
      code: constantFrom(0, 1, 64, 65, 66, 67, 68, 69, 71, 72, 75, 75, 137, 139, 143, 143),
      checkpoint: constantFrom(true, false),
    }),
  },
  { weight: 2, arbitrary: record({ do: constant('answer' as const), stalls: constantFrom(true, false) }) },
  { weight: 2, arbitrary: record({ do: constant('wait' as const), seconds: constantFrom(1, 10, 40, 400, 4000) }) },
  { weight: 1, arbitrary: record({ do: constant('jump' as const), seconds: integer({ min: -7200, max: 7200 }) }) },
  { weight: 2, arbitrary: record({ do: constant('fault' as const), of: constantFrom('write', 'act', 'stale') }) },
  {
    weight: 1,
    arbitrary: record({
      do: constant('change' as const),
      spec: constantFrom<Partial<DPOJob['spec']>>(
        { backoffLimit: 0 },
        { backoffLimit: 6 },
        { activeDeadlineSeconds: 600 },
        { startDeadlineSeconds: 120 },
        { progressDeadlineSeconds: 60 },
        { nodeLossSeconds: 60 },
        { ttlSecondsAfterFinished: 300 },
      ),
    }),
  },
);
/** What may become of a DPOJob. */
export const aCourse: Arbitrary<Step[]> = array(aStep, { maxLength: 40, size: 'max' });

const worn: Step = { do: 'exit', code: 75, checkpoint: false };

/** A course that begins with three free restarts without a newer checkpoint, by a clock that is wrong. */
export const aWornCourse: Arbitrary<Step[]> = tuple(integer({ min: -7200, max: 7200 }), aCourse).map(
  ([seconds, rest]) => [{ do: 'jump', seconds }, worn, worn, worn, ...rest],
);
