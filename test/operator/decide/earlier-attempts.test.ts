import { describe, expect, test } from '@jest/globals';
import type { DPOJobStatus } from '../../../crds/status.ts';
import { decide } from '../../../operator/decide/decide.ts';
import type { Observation, ObservedJob } from '../../../operator/decide/observation.ts';
import { aChild, after, aJob, begun, observed, runningPod } from '../observed.ts';

const second: DPOJobStatus = { ...begun(), attempt: 2 };
const told = (child: ObservedJob): ObservedJob => ({
  ...child,
  metadata: { ...child.metadata, deletionTimestamp: after(5) },
});
const first = { kind: 'deleteJob', name: 'quickstart-1', uid: 'child-1' };
const held = { ...aChild(1), spec: { suspend: true } };

describe('a Job of an earlier attempt', () => {
  test.each<[string, Partial<Observation>, object[]]>([
    ['runs beside the present one', { jobs: [aChild(1), aChild(2)] }, [first]],
    ['is seen after it', { jobs: [aChild(2), aChild(1)] }, [first]],
    ['is held by a queue', { jobs: [held, aChild(2)] }, [first]],
    ['goes already', { jobs: [told(aChild(1)), aChild(2)] }, []],
    ['stands where the present one is to be made: it is waited for', { jobs: [aChild(1)] }, [first]],
    ['goes where the present one is to be made: it is waited for', { jobs: [told(aChild(1))] }, []],
  ])('that %s is deleted, and nothing else', (_what, seen, expected) => {
    const { status, actions } = decide(observed(aJob({}, second), { pods: [runningPod('a')], ...seen }), after(10));
    expect(actions).toEqual(expected);
    expect(status).toMatchObject({ attempt: 2, attemptStartTime: second.attemptStartTime, state: 'Running' });
  });

  test('goes too where the highest one is not in the status yet', () => {
    const { actions } = decide(observed(aJob({}, begun()), { jobs: [aChild(1), aChild(2)] }), after(10));
    expect(actions).toEqual([first]);
  });

  test('is told to go once, where a suspend stops both', () => {
    const seen = { jobs: [aChild(1), aChild(2)] };
    const { actions } = decide(observed(aJob({ suspend: true }, second), seen), after(10));
    expect(actions).toEqual([first, { kind: 'deleteJob', name: 'quickstart-2', uid: 'child-2' }]);
  });
});
