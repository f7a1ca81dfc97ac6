import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { DPOJobSpecInput } from '../../crds/dpojob.ts';
import { everything } from '../operator/everything.ts';
import { container, leaves, progressOf, Workplace, type Pod } from './workplace.ts';

/**
 * Everything that can keep a job from running or end it, on a real API server: the scheduler, the Job controller, quotas and
 * admission are real and speak for themselves; the kubelet is played. `kubectl get` and `kubectl describe` must tell each.
 */
jest.setTimeout(180_000);
let place: Workplace;
const namespaces = new Map<string, Workplace>();
const at = (namespace = 'default'): Workplace => namespaces.get(namespace) as Workplace;

beforeAll(async () => {
  // The node of these tests has no kubelet that says that it lives.
  const patience = ['--node-monitor-grace-period=1h', '--node-startup-grace-period=1h'];
  place = await Workplace.open({ controllerManager: patience });
  namespaces.set('default', place).set('bare', place.within('bare')).set('full', place.within('full'));
  namespaces.set('strict', place.within('strict', { 'pod-security.kubernetes.io/enforce': 'restricted' }));
  place.node('n1', { 'nvidia.com/gpu': '0' });
  place.claims('models', 'data');
  const quota = (name: string, hard: object): object => ({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name },
    spec: { hard },
  });
  at('full').kubectl.run(['create', '-f', '-'], quota('few-pods', { pods: '0' }));
  namespaces.set('crowded', place.within('crowded'));
  at('crowded').kubectl.run(['create', '-f', '-'], quota('few-jobs', { 'count/jobs.batch': '0' }));
  place.kubectl.run(['create', 'priorityclass', 'low', '--value=1']);
  at('strict').kubectl.run(['create', 'serviceaccount', 'trainer']);
  const runtime = {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'nvidia' },
    handler: 'nvidia',
  };
  place.kubectl.run(['create', '-f', '-'], runtime);
  await place.start('one');
});
afterAll(() => place?.close());

/** Plays the kubelet of a pod whose container waits. */
const waits =
  (reason: string, message: string) =>
  (pod: Pod, in_: Workplace): void => {
    in_.bind(pod.metadata.name);
    in_.set(pod.metadata.name, { containerStatuses: container({ waiting: { reason, message } }) });
  };
/** Plays the kubelet that tells of a pod by an Event alone. */
const tells =
  (reason: string, message: string) =>
  (pod: Pod, in_: Workplace): void => {
    waits('ContainerCreating', '')(pod, in_);
    const { name, uid } = pod.metadata;
    const involvedObject = { apiVersion: 'v1', kind: 'Pod', name, uid, namespace: 'default' };
    const rest = {
      type: 'Warning',
      reason,
      message,
      lastTimestamp: new Date().toISOString(),
      source: { component: 'kubelet' },
    };
    in_.kubectl.run(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.1` },
      involvedObject,
      ...rest,
    });
  };
/** Plays the kubelet of a pod whose trainer ended. */
const ends =
  (exitCode: number, reason = 'Error', status: object = {}, last?: string) =>
  (pod: Pod, in_: Workplace): void => {
    in_.run(pod);
    const time = new Date().toISOString();
    const message = last ?? leaves('Running', '', progressOf(pod, { memoryBytes: 4_080_218_931 }));
    const terminated = { exitCode, reason, message, startedAt: time, finishedAt: time };
    in_.set(pod.metadata.name, { phase: 'Failed', containerStatuses: container({ terminated }), ...status });
  };
/** Drains as kubectl does, by the real eviction API; the trainer saves. */
function drained(pod: Pod, in_: Workplace): void {
  in_.run(pod);
  const { name } = pod.metadata;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } };
  in_.kubectl.run(['create', '--raw', `/api/v1/namespaces/default/pods/${name}/eviction`, '-f', '-'], eviction);
  in_.end(pod, 75, leaves('Saved'));
}
const disrupted = (reason: string, message: string): object => ({
  conditions: [{ type: 'DisruptionTarget', status: 'True', reason, message }],
});

interface Case {
  name: string;
  namespace?: string;
  changes?: Partial<DPOJobSpecInput>;
  play?: (pod: Pod, in_: Workplace) => void;
  state: string;
  reason: string;
  words: string;
}
const image = 'registry.example.com/none:1';
const cases: Case[] = [
  {
    name: 'no-gpu',
    changes: { accelerator: { count: 1 } },
    state: 'Pending',
    reason: 'Unschedulable',
    words: '0/1 nodes are available: 1 Insufficient nvidia.com/gpu',
  },
  {
    name: 'no-claim',
    namespace: 'bare',
    state: 'Pending',
    reason: 'ClaimMissing',
    words: 'persistentvolumeclaim "models" not found',
  },
  {
    name: 'no-quota',
    namespace: 'full',
    state: 'Pending',
    reason: 'QuotaExceeded',
    words: 'exceeded quota: few-pods, requested: pods=1, used: pods=0, limited: pods=0',
  },
  {
    name: 'no-jobs',
    namespace: 'crowded',
    state: 'Pending',
    reason: 'QuotaExceeded',
    words:
      'exceeded quota: few-jobs, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0',
  },
  {
    name: 'as-root',
    namespace: 'strict',
    changes: { pod: { securityContext: { runAsNonRoot: false, runAsUser: 0 } } },
    state: 'Pending',
    reason: 'PodSecurityViolated',
    words: 'violates PodSecurity "restricted:latest"',
  },
  {
    name: 'no-account',
    changes: { pod: { serviceAccountName: 'nobody' } },
    state: 'Pending',
    reason: 'ServiceAccountMissing',
    words: 'serviceaccount "nobody" not found',
  },
  {
    name: 'no-class',
    changes: { pod: { priorityClassName: 'none' } },
    state: 'Pending',
    reason: 'PodRefused',
    words: 'no PriorityClass with name none was found',
  },
  {
    name: 'bad-selector',
    changes: { pod: { nodeSelector: { zone: 'not a label!' } } },
    state: 'Pending',
    reason: 'JobRefused',
    words: 'spec.template.spec.nodeSelector',
  },
  {
    name: 'no-image',
    play: waits('ImagePullBackOff', `Back-off pulling image "${image}": ErrImagePull: not found`),
    state: 'Starting',
    reason: 'ImagePullFailed',
    words: "the trainer's image cannot be pulled: not found",
  },
  {
    name: 'no-secret',
    play: waits('CreateContainerConfigError', 'secret "hub" not found'),
    state: 'Starting',
    reason: 'SecretMissing',
    words: 'is not there: secret "hub" not found',
  },
  {
    name: 'no-map',
    play: tells('FailedMount', 'MountVolume.SetUp failed for volume "dataset" : configmap "pairs" not found'),
    state: 'Starting',
    reason: 'ConfigMapMissing',
    words: 'configmap "pairs" not found',
  },
  {
    name: 'no-volume',
    play: tells('FailedAttachVolume', 'Multi-Attach error for volume "pv-1"'),
    state: 'Starting',
    reason: 'VolumeNotMounted',
    words: 'Multi-Attach error for volume "pv-1"',
  },
  {
    name: 'oom',
    changes: { backoffLimit: 0, resources: { limits: { memory: '4Gi' } } },
    play: ends(137, 'OOMKilled'),
    state: 'Failed',
    reason: 'OOMKilled',
    words: 'killed at its memory limit of 4Gi; it had used up to 3.80Gi in stage Training',
  },
  {
    name: 'crash',
    changes: { backoffLimit: 0 },
    play: ends(139),
    state: 'Failed',
    reason: 'Error',
    words: 'the trainer crashed (SIGSEGV)',
  },
  {
    name: 'bad-data',
    play: ends(65, 'Error', {}, leaves('InvalidData', 'line 7: no chosen answer')),
    state: 'Failed',
    reason: 'InvalidData',
    words: 'line 7: no chosen answer',
  },
  {
    name: 'evicted',
    changes: { backoffLimit: 0 },
    play: ends(137, 'Error', {
      reason: 'Evicted',
      message: 'The node was low on resource: memory.',
      ...disrupted('TerminationByKubelet', 'x'),
    }),
    state: 'Restarting',
    reason: 'Evicted',
    words: 'The node was low on resource: memory.',
  },
  {
    name: 'drained',
    changes: { backoffLimit: 0 },
    play: drained,
    state: 'Restarting',
    reason: 'EvictionByEvictionAPI',
    words: 'its node was drained: Eviction API: evicting',
  },
];

describe('kubectl tells why', () => {
  beforeAll(async () => {
    for (const { name, namespace, changes = {} } of cases) at(namespace).apply(name, changes);
    for (const { name, namespace, play } of cases)
      if (play !== undefined) play(await at(namespace).pod(name), at(namespace));
  });

  test.each(cases)('$name: $state, $reason: $words', async ({ name, namespace, state, reason, words, play }) => {
    const in_ = at(namespace);
    await in_.until(reason, () => in_.stored(name)?.status?.reason === reason, 40);
    const { status } = in_.stored(name) ?? {};
    expect(status).toMatchObject({ state, reason, message: expect.stringContaining(words) });
    if (state === 'Restarting' || state === 'Failed') {
      expect(status?.lastFailure).toMatchObject({ reason, message: expect.stringContaining(words) });
      expect(play).toBeDefined();
    }
    const [head = '', line = ''] = in_.kubectl.run(['get', 'dpojob', name]).split('\n');
    expect(line.slice(head.indexOf('REASON')).split(' ')[0]).toBe(reason);
    expect(in_.kubectl.run(['get', 'dpojob', name, '-o', 'wide'])).toContain(words);
    await in_.until('told', () => in_.eventsOf(name).includes(reason));
    const described = in_.kubectl.run(['describe', 'dpojob', name]);
    const [status_ = '', events = ''] = described.split('\nEvents:');
    expect(status_).toMatch(new RegExp(`Reason: +${reason}\\n`));
    expect(events).toContain(reason);
    for (const text of [status_, events]) expect(text.replaceAll(/\s+/g, ' ')).toContain(words);
  });
});

describe('a namespace that enforces the restricted Pod Security standard', () => {
  test('takes the pod of a job that says nothing of security', async () => {
    at('strict').apply('plain');
    await at('strict').pod('plain');
  });

  test('takes a pod with every field of spec.pod', async () => {
    at('strict').apply('all', everything);
    const { metadata } = await at('strict').pod('all');
    const spec = at('strict').kubectl.get<{ spec: object }>('pod', metadata.name)?.spec;
    expect(spec).toMatchObject({
      priorityClassName: 'low',
      runtimeClassName: 'nvidia',
      resourceClaims: [
        { name: 'gpu', resourceClaimTemplateName: 'one-gpu' },
        { name: 'nic', resourceClaimName: 'shared-nic' },
      ],
      topologySpreadConstraints: [{ topologyKey: 'zone', minDomains: 2 }],
      containers: [
        {
          resources: {
            limits: { 'amd.com/gpu': '1', 'example.com/fpga': '2' },
            claims: [{ name: 'gpu' }, { name: 'nic' }],
          },
        },
      ],
    });
  });
});

test('a pod that the scheduler preempts is replaced for free, and says for whom', async () => {
  place.node('small', { cpu: '1', pods: '9' });
  const onSmall = { 'kubernetes.io/hostname': 'small' };
  place.kubectl.run(['label', 'node', 'small', 'kubernetes.io/hostname=small']);
  place.apply('low', {
    backoffLimit: 0,
    resources: { requests: { cpu: '1' } },
    pod: { nodeSelector: onSmall, priorityClassName: 'low' },
  });
  const pod = await place.pod('low');
  const placed = (): boolean =>
    place.kubectl.run(['get', 'pod', pod.metadata.name, '-o', 'yaml']).includes('nodeName: small');
  await place.until('placed', placed);
  place.run(pod);
  await place.until('Running', () => place.stored('low')?.status?.state === 'Running');
  const containers = [{ name: 'c', image: 'i', resources: { requests: { cpu: '1' } } }];
  const spec = { nodeSelector: onSmall, priority: 2_000_000, priorityClassName: 'high', containers };
  place.kubectl.run(['create', 'priorityclass', 'high', '--value=2000000']);
  place.kubectl.run(['create', '-f', '-'], { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'important' }, spec });
  const told = (): boolean =>
    place.kubectl.run(['get', 'pod', pod.metadata.name, '-o', 'yaml']).includes('PreemptionByScheduler');
  await place.until('preempted', told);
  place.end(pod, 75, leaves('Saved', '', progressOf(pod)));
  place.confirmGone(pod);
  await place.until('counted', () => place.stored('low')?.status?.restarts === 1);
  await place.until('replaced', () => place.podsOf('low').some(({ metadata }) => metadata.uid !== pod.metadata.uid));
  const { status } = place.stored('low') ?? {};
  expect(status).toMatchObject({
    attempt: 1,
    restartsWithoutProgress: 0,
    lastFailure: { reason: 'PreemptionByScheduler' },
  });
  expect(status?.lastFailure?.message).toMatch(/a pod of higher priority took its place: .*preempt/);
  expect(place.condition('low', 'Failed').status).toBe('False');
});
