import { expect, test } from '@jest/globals';
import type { Cluster } from '../../../operator/cluster/cluster.ts';
import { resources } from '../../../operator/cluster/resource.ts';
import { fenced } from '../../../operator/loop/fence.ts';

const writes = ['create', 'replace', 'applyStatus', 'mergePatch', 'delete'] as const;

/** A cluster that tells what it was asked for. */
function listening(): { cluster: Cluster; asked: string[] } {
  const asked: string[] = [];
  const calls = ['list', 'get', 'watch', ...writes].map((name) => [name, async () => void asked.push(name)]);
  return { cluster: Object.fromEntries(calls) as Cluster, asked };
}

test.each(writes)('%s is refused without the lease, and passes with it', async (name) => {
  const { cluster, asked } = listening();
  let holds = false;
  const call = fenced(cluster, () => holds)[name] as () => Promise<unknown>;
  await expect(call()).rejects.toThrow('the lease may be held by another');
  expect(asked).toEqual([]);
  holds = true;
  await call();
  expect(asked).toEqual([name]);
});

test('reads need no lease: a standby keeps its view', async () => {
  const { cluster, asked } = listening();
  const reader = fenced(cluster, () => false);
  await reader.get(resources.jobs, 'team', 'a');
  await reader.list(resources.jobs, {}, { limit: 1 });
  expect(asked).toEqual(['get', 'list']);
});
