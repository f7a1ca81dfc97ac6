import type { DPOJob } from '../crds/dpojob.ts';
import { labels } from '../crds/labels.ts';
import { runConfigSchema, type RunConfig } from '../crds/run-config.ts';
import type { Cluster, Stored } from './cluster/cluster.ts';
import { resources, type Resource } from './cluster/resource.ts';
import { keepPod, type StoredJob, type StoredPod } from './keep.ts';
import { pages } from './loop/pages.ts';
import type { Store } from './loop/store.ts';
import { controllerOf, family } from './pod-owner.ts';
import type { Child, Found } from './reconcile.ts';

/** What is created, by its kind. */
const kinds = { Job: resources.jobs, ConfigMap: resources.configMaps, PersistentVolumeClaim: resources.claims };

export const resourceOf = ({ kind }: Child): Resource => kinds[kind as keyof typeof kinds];

const watchedBy = [labels.dpojob, labels.uid, labels.attempt];

/** What an object that has a child's name already is to it. */
export function compared(child: Child, there: Stored): Found {
  const { metadata } = there as StoredJob;
  const made = child.metadata?.labels;
  // Only Jobs are watched, and by these; what else is on them may have changed since.
  const labelled = child.kind !== 'Job' || watchedBy.every((label) => metadata.labels?.[label] === made?.[label]);
  return { ownerUID: controllerOf(metadata)?.uid, labelled };
}

/** What a run was configured with; undefined where somebody made another thing of it by hand. */
export function runConfig(text: string | undefined): RunConfig | undefined {
  try {
    return runConfigSchema.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}

/** Tells apart what was seen from what is there. */
export const versions = (objects: readonly { metadata: { uid: string; resourceVersion?: string } }[]): string =>
  objects
    .map(({ metadata: { uid, resourceVersion } }) => `${uid} ${resourceVersion}`)
    .toSorted()
    .join();

/** Takes the pods of a DPOJob in as the API server has them now. How one that is gone ended the watch may still tell. */
export async function refreshPods(cluster: Cluster, pods: Store<StoredPod>, { metadata }: DPOJob): Promise<void> {
  const { namespace, uid } = metadata;
  const seen = pods.byIndex(family(metadata, uid));
  const found: StoredPod[] = [];
  const selection = { namespace, labelSelector: `${labels.uid}=${uid}` };
  for await (const page of pages(cluster, resources.pods, selection)) found.push(...page.items.map(keepPod));
  const present = new Set(found.map((pod) => pod.metadata.uid));
  for (const pod of seen) if (!present.has(pod.metadata.uid)) pods.delete(pod);
  for (const pod of found) pods.put(pod);
}
