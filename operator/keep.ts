import type { DPOJob } from '../crds/dpojob.ts';
import type { Stored } from './cluster/cluster.ts';
import type { ObservedJob, ObservedPod } from './decide/observation.ts';

/** What is kept of the objects that are watched: only the fields that are read, so that thousands fit in memory. */
export type StoredDPOJob = DPOJob & Stored;
export type StoredJob = ObservedJob & Stored;
export type StoredPod = ObservedPod & Stored;

type Owner = NonNullable<ObservedPod['metadata']['ownerReferences']>[number];

interface Raw {
  metadata: Stored['metadata'] & {
    labels?: Record<string, string>;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    ownerReferences?: Owner[];
  };
  spec?: { suspend?: boolean; nodeName?: string };
  status?: ObservedJob['status'] & ObservedPod['status'];
}

const defined = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;

function keepMetadata({ metadata }: Raw): Raw['metadata'] {
  const { name, namespace, uid, resourceVersion, labels, deletionTimestamp } = metadata;
  return defined({ name, namespace, uid, resourceVersion, labels, deletionTimestamp } as Raw['metadata']);
}

export function keepDPOJob(object: Stored): StoredDPOJob {
  const { managedFields: _noise, annotations: _large, ...metadata } = object.metadata as Record<string, unknown>;
  return { ...object, metadata } as unknown as StoredDPOJob;
}

function keepConditions({ status }: Raw): object[] | undefined {
  return status?.conditions?.map(({ type, status: is, reason, message, lastTransitionTime }) =>
    defined({ type, status: is, reason, message, lastTransitionTime }),
  );
}

const keepOwners = ({ metadata }: Raw): Owner[] | undefined =>
  metadata.ownerReferences?.map(({ uid, kind, name, controller }) => defined({ uid, kind, name, controller } as Owner));

export function keepJob(object: Stored): StoredJob {
  const raw = object as Raw;
  return {
    metadata: defined({ ...keepMetadata(raw), ownerReferences: keepOwners(raw) }),
    ...(raw.spec?.suspend === undefined ? {} : { spec: { suspend: raw.spec.suspend } }),
    status: defined({ conditions: keepConditions(raw) }),
  } as StoredJob;
}

export function keepPod(object: Stored): StoredPod {
  const raw = object as Raw;
  const { phase, podIP, reason, message, containerStatuses } = raw.status ?? {};
  const { nodeName } = raw.spec ?? {};
  const { creationTimestamp } = raw.metadata;
  const states = containerStatuses?.map(({ name, state }) => defined({ name, state }));
  return {
    metadata: defined({ ...keepMetadata(raw), creationTimestamp, ownerReferences: keepOwners(raw) }),
    ...(nodeName === undefined ? {} : { spec: { nodeName } }),
    status: defined({ phase, podIP, reason, message, conditions: keepConditions(raw), containerStatuses: states }),
  } as StoredPod;
}
