import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import nock from 'nock';
import type { Change, Stored } from '../../../operator/cluster/cluster.ts';
import { ApiError, isAlreadyExists, isConflict, isExpired } from '../../../operator/cluster/errors.ts';
import { pooled } from '../../../operator/cluster/kube-config.ts';
import { pathOf, resources } from '../../../operator/cluster/resource.ts';
import { RestCluster } from '../../../operator/cluster/rest-cluster.ts';
import { Reflector } from '../../../operator/loop/reflector.ts';
import { Store } from '../../../operator/loop/store.ts';

const server = 'https://cluster.test:6443';
const jobsPath = '/apis/training.dpo-operator.io/v1alpha1/dpojobs';
let requests: string[] = [];

function connect(): RestCluster {
  const config = new KubeConfig();
  const cluster = { name: 'c', server, skipTLSVerify: false };
  config.loadFromClusterAndUser(cluster, { name: 'u', token: 'secret-token' });
  return new RestCluster(pooled(config), (method, status) => requests.push(`${method} ${status}`));
}

beforeEach(() => {
  requests = [];
  nock.disableNetConnect();
});
afterEach(() => {
  nock.cleanAll();
  nock.enableNetConnect();
});
// Node's own modules are one for all files of a jest worker: interception must not outlive this one.
afterAll(() => nock.restore());

const object = (name: string, version: string): Stored => ({
  metadata: { name, namespace: 'team', uid: `uid-${name}`, resourceVersion: version },
});
const refusal = (code: number, reason: string, message = 'no'): object => ({ kind: 'Status', code, reason, message });

describe('requests', () => {
  test('carry the credentials, and names are escaped in paths', async () => {
    const scope = nock(server, { reqheaders: { authorization: 'Bearer secret-token' } })
      .get('/api/v1/namespaces/team/configmaps/a%2Fb')
      .reply(200, object('a', '1'));
    expect(await connect().get(resources.configMaps, 'team', 'a/b')).toEqual(object('a', '1'));
    scope.done();
    expect(pathOf(resources.dpojobs)).toBe(jobsPath);
  });

  test('what is not there is undefined; a deletion of what is gone is no error', async () => {
    nock(server).get(/.*/).reply(404, refusal(404, 'NotFound'));
    nock(server)
      .delete(/.*/, { propagationPolicy: 'Foreground', preconditions: { uid: 'u' } })
      .reply(404, refusal(404, 'NotFound'));
    const cluster = connect();
    expect(await cluster.get(resources.jobs, 'team', 'a')).toBeUndefined();
    expect(await cluster.delete(resources.jobs, 'team', 'a', 'u')).toBeUndefined();
    expect(requests).toEqual(['GET 404', 'DELETE 404']);
  });

  test('a deletion answers the object while it is there still, and nothing where it went at once', async () => {
    const left = { kind: 'Job', metadata: { name: 'a', deletionTimestamp: '2026-01-01T00:00:00Z' } };
    nock(server).delete(/.*/).reply(200, left);
    nock(server).delete(/.*/).reply(200, { kind: 'Status', status: 'Success' });
    const cluster = connect();
    expect(await cluster.delete(resources.jobs, 'team', 'a', 'u')).toEqual(left);
    expect(await cluster.delete(resources.jobs, 'team', 'a', 'u')).toBeUndefined();
  });

  test("a refusal is an error with the server's words, reason and wish to wait", async () => {
    nock(server)
      .post(/.*/)
      .reply(409, refusal(409, 'AlreadyExists', 'jobs.batch "a-1" already exists'));
    nock(server)
      .post(/.*/)
      .reply(429, refusal(429, 'TooManyRequests', 'slow down'), { 'Retry-After': '7' });
    nock(server).post(/.*/).reply(502, '<html>bad gateway</html>');
    const cluster = connect();
    const refused = (): Promise<unknown> => cluster.create(resources.jobs, 'team', {}).catch((error: unknown) => error);
    const first = await refused();
    expect([isAlreadyExists(first), isConflict(first)]).toEqual([true, false]);
    expect((first as Error).message).toContain('already exists');
    expect(await refused()).toMatchObject({ code: 429, retryAfter: 7 });
    expect(await refused()).toMatchObject({
      code: 502,
      reason: 'Unknown',
      message: expect.stringContaining('gateway'),
    });
  });

  test('status is applied by the server, under one field manager', async () => {
    const scope = nock(server, { reqheaders: { 'content-type': 'application/apply-patch+yaml' } })
      .patch('/apis/training.dpo-operator.io/v1alpha1/namespaces/team/dpojobs/a/status')
      .query({ fieldManager: 'dpo-operator', force: 'true' })
      .reply(200, object('a', '2'));
    await connect().applyStatus(resources.dpojobs, object('a', '1'));
    scope.done();
  });

  test('no answer is counted and told', async () => {
    nock(server).get(/.*/).replyWithError('connection reset');
    await expect(connect().get(resources.jobs, 'team', 'a')).rejects.toThrow();
    expect(requests).toEqual(['GET 0']);
  });
});

describe('a watch', () => {
  const collect = async (body: string): Promise<Change[]> => {
    nock(server).get(jobsPath).query(true).reply(200, body);
    const changes: Change[] = [];
    for await (const change of connect().watch(resources.dpojobs, {}, '5', new AbortController().signal)) {
      changes.push(change);
    }
    return changes;
  };

  test('yields its lines, also without a last newline-less rest', async () => {
    const line = (type: string, version: string): string =>
      `${JSON.stringify({ type, object: object('ü', version) })}\n`;
    const changes = await collect(line('ADDED', '6') + line('BOOKMARK', '9') + '{"cut');
    expect(changes.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK']);
    expect(changes[0]?.object.metadata.name).toBe('ü');
  });

  test('turns an ERROR line into an error', async () => {
    const gone = JSON.stringify({ type: 'ERROR', object: refusal(410, 'Expired', 'too old') });
    const error = await collect(`${gone}\n`).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect(isExpired(error)).toBe(true);
  });
});

describe('a reflector', () => {
  const reflectorInto = (store: Store<Stored>, warn: (message: string) => void = () => undefined): Reflector<Stored> =>
    new Reflector<Stored>({
      cluster: connect(),
      resource: resources.dpojobs,
      selection: {},
      store,
      keep: (one) => one,
      beat: () => undefined,
      warn,
    });

  test('lists page by page, follows, and lists anew when its version is too old', async () => {
    const page = (items: Stored[], version: string, next?: string): object => ({
      items,
      metadata: { resourceVersion: version, continue: next ?? '' },
    });
    const asked = (query: Record<string, unknown>): string => {
      const given = query as Record<string, string>;
      return given['watch'] === 'true' ? `watch ${given['resourceVersion']}` : (given['continue'] ?? 'list');
    };
    const seen: string[] = [];
    const answers = [
      page([object('a', '1')], '10', 'more'),
      page([object('b', '2')], '10'),
      `${JSON.stringify({ type: 'MODIFIED', object: object('a', '11') })}\n`,
      `${JSON.stringify({ type: 'ERROR', object: refusal(410, 'Expired') })}\n`,
      page([object('a', '12')], '20'),
    ];
    const stop = new AbortController();
    nock(server)
      .get(jobsPath)
      .query((query) => seen.push(asked(query)) > 0)
      .times(20)
      .reply(() => {
        return [200, answers.shift() ?? ''];
      });
    const store = new Store<Stored>();
    const changes: string[] = [];
    store.onChange((before, after) => {
      const { name } = (after ?? before)?.metadata ?? {};
      changes.push(`${name}:${after?.metadata.resourceVersion ?? 'gone'}`);
      if (after?.metadata.resourceVersion === '12') stop.abort();
    });
    const reflector = reflectorInto(store);
    await reflector.run(stop.signal);
    await reflector.synced;
    expect(changes).toEqual(['a:1', 'b:2', 'a:11', 'b:gone', 'a:12']);
    expect([...new Set(seen)].slice(0, 4)).toEqual(['list', 'more', 'watch 10', 'watch 11']);
  }, 20_000);

  test('goes on after the server failed, as often as it fails', async () => {
    const stop = new AbortController();
    nock(server).get(jobsPath).query(true).reply(500, refusal(500, 'InternalError'));
    nock(server).get(jobsPath).query(true).replyWithError('connection reset');
    nock(server)
      .get(jobsPath)
      .query(true)
      .reply(200, { items: [object('a', '1')], metadata: { resourceVersion: '3' } });
    const warnings: string[] = [];
    const store = new Store<Stored>();
    store.onChange(() => stop.abort());
    const reflector = reflectorInto(store, (message) => warnings.push(message));
    await reflector.run(stop.signal);
    expect(store.size).toBe(1);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/^watch of dpojobs: no \(500 InternalError\); again in/);
  }, 20_000);
});
