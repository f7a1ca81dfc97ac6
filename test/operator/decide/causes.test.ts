import { describe, expect, test } from '@jest/globals';
import { statusSchema } from '../../../crds/status.ts';
import { clueAbout } from '../../../operator/decide/clue.ts';
import type { Clue, ContainerState, Observation, ObservedPod } from '../../../operator/decide/observation.ts';
import {
  aChild,
  after,
  aJob,
  aRecord,
  conditionOf,
  endedPod,
  leaves,
  observed,
  play,
  runningPod,
} from '../observed.ts';

const jobs = [aChild(1)];
const unscheduled = (message: string): ObservedPod => ({
  metadata: { name: 'p', uid: 'p-uid', creationTimestamp: after(1) },
  status: {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }],
  },
});
const placed = (state?: ContainerState): ObservedPod => ({
  metadata: { name: 'p', uid: 'p-uid', creationTimestamp: after(1) },
  spec: { nodeName: 'n' },
  status: { phase: 'Pending', ...(state && { containerStatuses: [{ name: 'trainer', state }] }) },
});
const waiting = (reason: string, message: string): ObservedPod => placed({ waiting: { reason, message } });
const clue = (reason: string, message: string): Clue => ({ reason, message });

/** As Kubernetes 1.34 words them: what is seen, and what a user reads. */
const causes: [reason: string, state: string, words: string, seen: Partial<Observation>][] = [
  [
    'Unschedulable',
    'Pending',
    'no node can take the pod: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.',
    { pods: [unscheduled('0/3 nodes are available: 3 Insufficient nvidia.com/gpu.')] },
  ],
  [
    'ClaimMissing',
    'Pending',
    'persistentvolumeclaim "models" not found',
    { pods: [unscheduled('0/3 nodes are available: persistentvolumeclaim "models" not found.')] },
  ],
  [
    'ClaimUnbound',
    'Pending',
    'pod has unbound immediate PersistentVolumeClaims',
    { pods: [unscheduled('0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.')] },
  ],
  [
    'ImagePullFailed',
    'Starting',
    "the trainer's image cannot be pulled: not found",
    { pods: [waiting('ImagePullBackOff', 'Back-off pulling image "trainer:x": ErrImagePull: not found')] },
  ],
  ['ImagePullFailed', 'Starting', 'cannot be pulled: not found', { pods: [waiting('ErrImagePull', 'not found')] }],
  ['ImagePullFailed', 'Starting', 'parse image', { pods: [waiting('InvalidImageName', 'couldn\'t parse image "A:"')] }],
  [
    'SecretMissing',
    'Starting',
    'secret "hub" not found',
    { pods: [waiting('CreateContainerConfigError', 'secret "hub" not found')] },
  ],
  [
    'SecretMissing',
    'Starting',
    "couldn't find key token in Secret team/hub",
    { pods: [waiting('CreateContainerConfigError', "couldn't find key token in Secret team/hub")] },
  ],
  [
    'ConfigMapMissing',
    'Starting',
    'configmap "settings" not found',
    { pods: [waiting('CreateContainerConfigError', 'configmap "settings" not found')] },
  ],
  [
    'ContainerNotCreated',
    'Starting',
    'runAsNonRoot',
    { pods: [waiting('CreateContainerConfigError', 'container has runAsNonRoot and image will run as root')] },
  ],
  [
    'ConfigMapMissing',
    'Starting',
    'configmap "pairs" not found',
    {
      pods: [waiting('ContainerCreating', '')],
      clue: clue('FailedMount', 'MountVolume.SetUp failed for volume "dataset" : configmap "pairs" not found'),
    },
  ],
  [
    'VolumeNotMounted',
    'Starting',
    'the node cannot mount a volume of the pod: Multi-Attach error',
    {
      pods: [placed()],
      clue: clue('FailedAttachVolume', 'Multi-Attach error for volume "pv-1" Volume is already used by pod(s) a'),
    },
  ],
  [
    'SandboxNotCreated',
    'Starting',
    'no such runtime',
    { pods: [placed()], clue: clue('FailedCreatePodSandBox', 'no such runtime "nvidia"') },
  ],
  [
    'QuotaExceeded',
    'Pending',
    "no room for the trainer's pod: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2",
    {
      clue: clue(
        'FailedCreate',
        '(combined from similar events): Error creating: pods "quickstart-1-x2x7z" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2',
      ),
    },
  ],
  [
    'PodSecurityViolated',
    'Pending',
    'violates PodSecurity "restricted:latest": hostPath',
    {
      clue: clue(
        'FailedCreate',
        'Error creating: pods "a" is forbidden: violates PodSecurity "restricted:latest": hostPath',
      ),
    },
  ],
  [
    'ServiceAccountMissing',
    'Pending',
    'serviceaccount "trainer" not found',
    {
      clue: clue(
        'FailedCreate',
        'Error creating: pods "a" is forbidden: error looking up service account team/trainer: serviceaccount "trainer" not found',
      ),
    },
  ],
  [
    'PodRefused',
    'Pending',
    "refuses the trainer's pod: no PriorityClass",
    { clue: clue('FailedCreate', 'Error creating: pods "a" is forbidden: no PriorityClass with name low was found') },
  ],
];

describe('what keeps a trainer from running', () => {
  test.each(causes)('%s (%s): %s', (reason, state, words, seen) => {
    const { status, events } = play(aJob(), [
      [0, {}],
      [10, { jobs, ...seen }],
    ]);
    const message = expect.stringContaining(words);
    expect(statusSchema.parse(status)).toMatchObject({ state, reason, message });
    expect(conditionOf(status, 'PodsReady')).toMatchObject({ status: 'False', reason, message });
    expect(events).toEqual([{ type: 'Warning', reason, message }]);
    expect(status.message?.length).toBeLessThanOrEqual(1024);
  });

  test.each(causes)(
    '%s (%s) is told once, and is what startDeadlineSeconds names when it passes',
    (reason, _state, words, seen) => {
      const job = aJob({ startDeadlineSeconds: 60 });
      const before = play(job, [
        [0, {}],
        [10, { jobs, ...seen }],
        [20, { jobs, ...seen }],
      ]);
      expect(before.events).toEqual([]);
      const { status, events } = play({ ...job, status: before.status }, [[60, { jobs, ...seen }]]);
      const message = expect.stringContaining(words);
      expect(status.lastFailure).toMatchObject({ reason, message, time: after(60) });
      expect(status).toMatchObject({ state: 'Failed', reason, restarts: 0 });
      expect(conditionOf(status, 'Failed')).toMatchObject({ status: 'True', reason: 'StartDeadlineExceeded', message });
      expect(events.map((event) => event.reason)).toEqual(['StartDeadlineExceeded']);
    },
  );

  test('is not what the scheduler adds where there was nothing to preempt', () => {
    const pods = [unscheduled('0/1 nodes are available: persistentvolumeclaim "models" not found. not found')];
    const { status } = play(aJob(), [[10, { jobs, pods }]]);
    expect(status.message).toMatch(/: persistentvolumeclaim "models" not found\.$/);
  });

  test('is nothing where all is well, and no longer once it is', () => {
    const quiet = play(aJob(), [
      [0, {}],
      [5, { jobs, pods: [waiting('ContainerCreating', '')] }],
    ]);
    expect([quiet.status.reason, quiet.status.message, quiet.events]).toEqual([undefined, undefined, []]);
    const mended = play(aJob(), [
      [0, {}],
      [5, { jobs, pods: [waiting('ErrImagePull', 'not found')] }],
      [9, { jobs, pods: [runningPod('p')] }],
    ]).status;
    expect(mended).toMatchObject({ state: 'Running' });
    expect([mended.reason, mended.message]).toEqual([undefined, undefined]);
  });
});

describe('Events are asked for', () => {
  const suspended = aChild(1, { spec: { suspend: true } });
  const leaving = aChild(1);
  leaving.metadata.deletionTimestamp = after(5);
  const over = aChild(1, { status: { conditions: [{ type: 'Failed', status: 'True' }] } });
  test.each<[string, Partial<Observation>, string | undefined]>([
    ['of a Job without a pod', { jobs }, 'child-1'],
    ['of a pod on a node without a container', { jobs, pods: [placed()] }, 'p-uid'],
    ['of one whose container is being made', { jobs, pods: [waiting('ContainerCreating', '')] }, 'p-uid'],
    ['not of one that no node takes: its status tells', { jobs, pods: [unscheduled('no')] }, undefined],
    ['not of one without its image: its status tells', { jobs, pods: [waiting('ErrImagePull', '')] }, undefined],
    ['not of one that runs', { jobs, pods: [runningPod('p')] }, undefined],
    ['not of a Job that a queue holds back', { jobs: [suspended] }, undefined],
    ['not of one that is being deleted', { jobs: [leaving] }, undefined],
    ['not of one that ended', { jobs: [over] }, undefined],
    ['not of one whose trainer ended well', { jobs, pods: [endedPod('p', 0, 5)] }, undefined],
  ])('%s', (_what, seen, uid) => {
    expect(clueAbout(observed(aJob(), seen))?.uid).toBe(uid);
  });

  test('of a Job whose pod ended, since then', () => {
    const about = clueAbout(observed(aJob(), { jobs, pods: [endedPod('a', 1, 5), endedPod('b', 1, 40)] }));
    expect(about).toEqual({ uid: 'child-1', since: after(40) });
  });
});

type Price = 'free' | 'counted' | 'final';

/** A pod that ended, and what took it away. */
function taken(exitCode: number, why: { reason: string; message?: string }, kubelet?: string): ObservedPod {
  const pod = endedPod('a', exitCode, 20);
  const condition = { type: 'DisruptionTarget', status: 'True', ...why };
  return {
    ...pod,
    status: { ...pod.status, conditions: [condition], ...(kubelet && { reason: 'Evicted', message: kubelet }) },
  };
}
const oom = (said = ''): ObservedPod => {
  const pod = endedPod('a', 137, 20, said);
  Object.assign(pod.status?.containerStatuses?.[0]?.state?.terminated ?? {}, { reason: 'OOMKilled' });
  return pod;
};
const neverRan: ObservedPod = {
  metadata: { name: 'a', uid: 'a-uid', creationTimestamp: after(1) },
  status: {
    phase: 'Failed',
    reason: 'UnexpectedAdmissionError',
    message:
      'Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu',
    conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: after(20) }],
  },
};
const limit = { resources: { limits: { memory: '4Gi' } } };
const record = aRecord('a', 9, { memoryBytes: Math.round(3.9 * 2 ** 30) });

describe('a pod that ended', () => {
  test.each<{ reason: string; exitCode?: number; price: Price; words: string; pod: ObservedPod; changes?: object }>([
    {
      reason: 'OOMKilled',
      exitCode: 137,
      price: 'counted',
      words:
        'killed at its memory limit of 4Gi; it had used up to 3.90Gi in stage Training: raise resources.limits.memory',
      pod: oom(leaves('Running', record)),
      changes: limit,
    },
    {
      reason: 'OOMKilled',
      exitCode: 137,
      price: 'counted',
      words: 'killed since its node ran out of memory (resources.limits.memory is not set): set',
      pod: oom(),
      changes: { resources: {} },
    },
    {
      reason: 'Evicted',
      exitCode: 137,
      price: 'free',
      words: 'its node ran short of something, or was shut down: The node was low on resource: memory',
      pod: taken(137, { reason: 'TerminationByKubelet' }, 'The node was low on resource: memory'),
    },
    {
      reason: 'PreemptionByScheduler',
      exitCode: 143,
      price: 'free',
      words: 'a pod of higher priority took its place: preempting for b',
      pod: taken(143, { reason: 'PreemptionByScheduler', message: 'preempting for b' }),
    },
    {
      reason: 'EvictionByEvictionAPI',
      exitCode: 75,
      price: 'free',
      words: 'its node was drained',
      pod: taken(75, { reason: 'EvictionByEvictionAPI' }),
    },
    {
      reason: 'DeletionByTaintManager',
      exitCode: 137,
      price: 'free',
      words: 'its node does not answer, or was tainted',
      pod: taken(137, { reason: 'DeletionByTaintManager' }),
    },
    {
      reason: 'InvalidData',
      exitCode: 65,
      price: 'final',
      words: 'line 7: no answer',
      pod: endedPod('a', 65, 20, leaves('InvalidData', undefined, 'line 7: no answer')),
    },
    {
      reason: 'Saved',
      exitCode: 75,
      price: 'free',
      words: 'exit code 75',
      pod: endedPod('a', 75, 20, leaves('Saved')),
    },
    {
      reason: 'Terminated',
      exitCode: 143,
      price: 'free',
      words: 'stopped before it could save',
      pod: endedPod('a', 143, 20),
    },
    { reason: 'Error', exitCode: 137, price: 'counted', words: 'was killed (SIGKILL)', pod: endedPod('a', 137, 20) },
    { reason: 'Error', exitCode: 139, price: 'counted', words: 'crashed (SIGSEGV)', pod: endedPod('a', 139, 20) },
    {
      reason: 'Error',
      exitCode: 127,
      price: 'counted',
      words: 'is pod.image a trainer image?',
      pod: endedPod('a', 127, 20),
    },
    {
      reason: 'Error',
      exitCode: 3,
      price: 'counted',
      words: 'panic: no heap',
      pod: endedPod('a', 3, 20, 'panic: no heap'),
    },
    {
      reason: 'UnexpectedAdmissionError',
      price: 'counted',
      words: 'cannot allocate unhealthy devices nvidia.com/gpu',
      pod: neverRan,
    },
  ])('$reason (exit code $exitCode) is $price and told: $words', ({ reason, exitCode, price, words, pod, changes }) => {
    const job = aJob(changes);
    const { status, events } = play(job, [
      [0, {}],
      [21, { jobs, pods: [pod] }],
    ]);
    const message = expect.stringContaining(words);
    expect(statusSchema.parse(status)).toMatchObject({ state: 'Restarting', reason, message, restarts: 1 });
    expect(status.lastFailure).toMatchObject({ reason, pod: 'a', message, time: after(20) });
    expect(status.lastFailure?.exitCode).toBe(exitCode);
    const tail = { free: 'the restart is free', counted: 'counts against backoffLimit (3)', final: 'would not help' }[
      price
    ];
    const type = price === 'free' ? 'Normal' : 'Warning';
    expect(events).toEqual([{ type, reason, message: expect.stringMatching(/^pod a ended: /) }]);
    expect(events[0]?.message).toContain(tail);
    expect(play({ ...job, status }, [[22, { jobs, pods: [pod] }]]).events).toEqual([]);
  });

  test('once too often names the last failure in the one word that kubectl shows', () => {
    const failed = aChild(1, {
      status: { conditions: [{ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded' }] },
    });
    const { status, events } = play(aJob({ ...limit, backoffLimit: 0 }), [
      [0, {}],
      [21, { jobs: [failed], pods: [oom()] }],
    ]);
    const message = expect.stringContaining(
      'gave up after backoffLimit (0); the last failure: OOMKilled: killed at its memory limit',
    );
    expect(status).toMatchObject({ state: 'Failed', reason: 'OOMKilled', message });
    expect(conditionOf(status, 'Failed')).toMatchObject({ reason: 'BackoffLimitExceeded', message });
    expect(events.map(({ reason }) => reason)).toEqual(['OOMKilled', 'BackoffLimitExceeded']);
  });

  test('killed after its grace period, since the job was over, is no failure of its own', () => {
    const job = aJob({ activeDeadlineSeconds: 60 });
    const { status, events } = play(job, [
      [0, {}],
      [60, { jobs, pods: [runningPod('a')] }],
      [190, { jobs, pods: [endedPod('a', 137, 185)] }],
    ]);
    expect(events).toEqual([]);
    expect(status).toMatchObject({
      reason: 'DeadlineExceeded',
      restarts: 0,
      lastFailure: { reason: 'DeadlineExceeded', pod: 'a' },
    });
  });
});
