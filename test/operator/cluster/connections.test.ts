import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { pooled } from '../../../operator/cluster/kube-config.ts';
import { resources } from '../../../operator/cluster/resource.ts';
import { RestCluster } from '../../../operator/cluster/rest-cluster.ts';

/** Connections that a server on loopback sees while requests come one after another, and then side by side. */
async function connections(pool: (config: KubeConfig) => KubeConfig): Promise<[inTurn: number, sideBySide: number]> {
  let opened = 0;
  const server = createServer((_request, response) => response.end('{"metadata":{}}'));
  server.on('connection', () => (opened += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const config = new KubeConfig();
  const { port } = server.address() as AddressInfo;
  const address = { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
  config.loadFromClusterAndUser(address, { name: 'u', token: 'secret-token' });
  const cluster = new RestCluster(pool(config));
  const get = (): Promise<unknown> => cluster.get(resources.jobs, 'team', 'a');
  for (let i = 0; i < 10; i++) await get();
  const inTurn = opened;
  await Promise.all(Array.from({ length: 100 }, get));
  server.close();
  server.closeAllConnections();
  return [inTurn, opened];
}

test('requests in turn share their connections, and a hundred at once share those of the pool', async () => {
  const [inTurn, sideBySide] = await connections(pooled);
  // A second one, where the first had not quite ended its answer.
  expect(inTurn).toBeLessThanOrEqual(2);
  expect(sideBySide).toBeLessThanOrEqual(32);
});

test("which the client library's own agents do not: the pool is still needed", async () => {
  const [inTurn] = await connections((config) => config);
  expect(inTurn).toBe(10);
});
