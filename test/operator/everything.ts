import type { DPOJobSpecInput } from '../../crds/dpojob.ts';

/** Every field of spec.pod, an accelerator by a claim, extended resources of any name, and data in a ConfigMap. */
export const everything: Partial<DPOJobSpecInput> = {
  dataset: { configMapRef: { name: 'pairs' } },
  accelerator: { resourceClaim: 'gpu' },
  resources: {
    limits: { memory: '16Gi', 'amd.com/gpu': 1, 'example.com/fpga': '2', 'hugepages-2Mi': '64Mi' },
    requests: { cpu: '4' },
  },
  pod: {
    image: 'mine:1',
    imagePullPolicy: 'Always',
    nodeSelector: { zone: 'a' },
    tolerations: [{ key: 'gpu', operator: 'Exists' }],
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { team: 'x' } } },
        ],
      },
    },
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'zone',
        whenUnsatisfiable: 'DoNotSchedule',
        minDomains: 2,
        labelSelector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
        matchLabelKeys: ['team'],
      },
    ],
    serviceAccountName: 'trainer',
    imagePullSecrets: [{ name: 'registry' }],
    runtimeClassName: 'nvidia',
    schedulerName: 'volcano',
    priorityClassName: 'low',
    resourceClaims: [
      { name: 'gpu', resourceClaimTemplateName: 'one-gpu' },
      { name: 'nic', resourceClaimName: 'shared-nic' },
    ],
    env: [
      { name: 'A', value: 'b' },
      { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
    ],
    envFrom: [{ prefix: 'X_', secretRef: { name: 'more', optional: true } }],
    volumes: [
      { name: 'cache', emptyDir: { sizeLimit: '1Gi' } },
      { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'hub' } }] } },
      { name: 'settings', configMap: { name: 'settings', items: [{ key: 'a', path: 'a' }], optional: true } },
    ],
    volumeMounts: [
      { name: 'cache', mountPath: '/tmp/cache' },
      { name: 'token', mountPath: '/var/run/hub', readOnly: true },
      { name: 'settings', mountPath: '/etc/settings', recursiveReadOnly: 'Disabled' },
    ],
    securityContext: { runAsUser: 2000, fsGroup: 2000, supplementalGroups: [3000] },
    labels: { team: 'x' },
    annotations: { note: 'y' },
  },
};
