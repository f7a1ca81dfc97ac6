import { apiVersion } from '../../crds/dpojob.ts';

/** A kind of object that the operator reads or writes, and where the API server has it. */
export interface Resource {
  /** `/api/v1` or `/apis/<group>/<version>`. */
  readonly root: string;
  readonly plural: string;
}

export const resources = {
  dpojobs: { root: `/apis/${apiVersion}`, plural: 'dpojobs' },
  jobs: { root: '/apis/batch/v1', plural: 'jobs' },
  pods: { root: '/api/v1', plural: 'pods' },
  configMaps: { root: '/api/v1', plural: 'configmaps' },
  claims: { root: '/api/v1', plural: 'persistentvolumeclaims' },
  events: { root: '/api/v1', plural: 'events' },
  leases: { root: '/apis/coordination.k8s.io/v1', plural: 'leases' },
  tokenReviews: { root: '/apis/authentication.k8s.io/v1', plural: 'tokenreviews' },
  accessReviews: { root: '/apis/authorization.k8s.io/v1', plural: 'subjectaccessreviews' },
} as const satisfies Record<string, Resource>;

/** The path of a list (all namespaces without one), of an object, or of its subresource. */
export function pathOf({ root, plural }: Resource, namespace?: string, ...rest: string[]): string {
  const within = namespace === undefined ? [] : ['namespaces', namespace];
  return [root, ...[...within, plural, ...rest].map((part, i) => (i === 0 ? part : encodeURIComponent(part)))].join(
    '/',
  );
}
