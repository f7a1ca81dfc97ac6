import { waitReasons, type WaitReasonName } from '../../crds/conditions.ts';
import type { Statement } from './conditions.ts';

/** Who said that a pod cannot be made or started, and what it means where the words tell nothing more precise. */
const speakers = {
  scheduler: 'Unschedulable',
  jobController: 'PodRefused',
  imagePull: 'ImagePullFailed',
  container: 'ContainerNotCreated',
  volume: 'VolumeNotMounted',
  sandbox: 'SandboxNotCreated',
} as const satisfies Record<string, WaitReasonName>;
export type Speaker = keyof typeof speakers;

/**
 * Causes that Kubernetes tells only in words: it has no reason of its own for them. Words that change with a version of
 * Kubernetes lose the more precise reason and nothing else, since they are passed on whole. The first that fits counts.
 */
const precise: readonly (readonly [RegExp, WaitReasonName, readonly Speaker[]])[] = [
  [/exceeded quota/, 'QuotaExceeded', ['jobController']],
  [/violates PodSecurity/, 'PodSecurityViolated', ['jobController']],
  [/error looking up service account/, 'ServiceAccountMissing', ['jobController']],
  [/persistentvolumeclaim "[^"]*" not found/, 'ClaimMissing', ['scheduler']],
  [/unbound immediate PersistentVolumeClaims/, 'ClaimUnbound', ['scheduler']],
  [
    /secret "[^"]*" not found|couldn't find key .* in Secret|non-existent secret/i,
    'SecretMissing',
    ['container', 'volume'],
  ],
  [
    /configmap "[^"]*" not found|couldn't find key .* in ConfigMap|non-existent config/i,
    'ConfigMapMissing',
    ['container', 'volume'],
  ],
];

/**
 * What names one of many pods that were tried in turn, or counts: without it the same cause keeps the same words. And what the
 * scheduler adds where there was nothing to preempt, which reads as if something else were missing.
 */
const noise: readonly (readonly [RegExp, string, Speaker?])[] = [
  [/^\(combined from similar events\): /, ''],
  [/^Error creating: pods "[^"]*" is forbidden: /, ''],
  [/^Back-off pulling image "[^"]*": ErrImagePull: /, ''],
  [/\. not found$/, '.', 'scheduler'],
];

/** Why a pod is not up, by what somebody said of it: our reason, what it means, and the words as they were. */
export function cause(speaker: Speaker, said: string): Statement {
  const heard = noise.filter(([, , by = speaker]) => by === speaker);
  const words = heard.reduce((text, [pattern, better]) => text.replace(pattern, better), said);
  const reason = precise.find(([of, , by]) => by.includes(speaker) && of.test(words))?.[1] ?? speakers[speaker];
  const { says } = waitReasons[reason];
  return { status: 'False', reason, message: words === '' ? says : `${says}: ${words}` };
}
