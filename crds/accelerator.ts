import { z } from 'zod';
import type { PodSpec } from './pod.ts';
import { matching, withRules, type Rule } from './rules.ts';

export const acceleratorSchema = z
  .object({
    resource: withRules(z.string().min(1).max(253), [
      matching(
        /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
        'must be an extended resource, such as nvidia.com/gpu',
      ),
    ])
      .default('nvidia.com/gpu')
      .describe('Extended resource that is asked for, of any name'),
    count: z.int().min(0).max(1).default(1).describe('0 trains on CPU'),
    resourceClaim: z
      .string()
      .min(1)
      .max(63)
      .optional()
      .describe('Name of one of pod.resourceClaims that holds the accelerator, in place of resource'),
  })
  .default({ resource: 'nvidia.com/gpu', count: 1 });

interface Parts {
  accelerator: z.output<typeof acceleratorSchema>;
  pod: PodSpec;
}

/** The accelerator may come by dynamic resource allocation: through a claim of the pod's. */
export const acceleratorRules: readonly Rule<Parts>[] = [
  {
    field: 'accelerator.resourceClaim',
    cel: '!has(self.accelerator.resourceClaim) || (has(self.pod.resourceClaims) && self.pod.resourceClaims.exists(one, one.name == self.accelerator.resourceClaim))',
    holds: ({ accelerator: { resourceClaim }, pod }) =>
      resourceClaim === undefined || (pod.resourceClaims ?? []).some((one) => one['name'] === resourceClaim),
    message: 'accelerator.resourceClaim must be the name of one of pod.resourceClaims',
  },
  {
    field: 'accelerator.resourceClaim',
    cel: '!has(self.accelerator.resourceClaim) || self.accelerator.count > 0',
    holds: ({ accelerator }) => accelerator.resourceClaim === undefined || accelerator.count > 0,
    message: 'accelerator.resourceClaim: with count 0 the job trains on CPU; leave one of them out',
  },
];
