import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { renderChart, type Made, type Rule } from '../cluster/chart.ts';
import { operatorAccount } from '../cluster/operator-account.ts';
import type { OperatorProcess } from './operator-process.ts';
import { leaves, Workplace } from './workplace.ts';

/**
 * Least rights. Every test of this ring runs the operator with the rights of the chart (operator-process.ts); here the API
 * server's audit log tells which of them it used, and the two are equal.
 */
jest.setTimeout(300_000);

const user = 'system:serviceaccount:default:dpo';
const folder = mkdtempSync(join(tmpdir(), 'audit-'));
const log = join(folder, 'audit.log');

/** Has the API server write down each request of the operator's, before it answers it. */
function auditFlags(): string[] {
  const policy = join(folder, 'policy.json');
  const rules = [{ level: 'Metadata', users: [user], omitStages: ['RequestReceived'] }, { level: 'None' }];
  writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }));
  return [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`, '--audit-log-mode=blocking'];
}

interface Asked {
  verb: string;
  objectRef?: { resource: string; subresource?: string; namespace?: string };
  annotations?: Record<string, string>;
}
const asked = (): Asked[] =>
  readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Asked);

const sorted = (all: Iterable<string>): string[] => [...new Set(all)].toSorted();
const used = (): string[] =>
  sorted(
    asked().map(({ verb, objectRef: { resource = '', subresource } = { resource: '' } }) =>
      [[resource, subresource].filter(Boolean).join('/'), verb].join(' '),
    ),
  );
const refused = (): Asked[] =>
  asked().filter(({ annotations }) => annotations?.['authorization.k8s.io/decision'] !== 'allow');

const rights = ({ resources = [], verbs }: Rule): string[] =>
  resources.flatMap((resource) => verbs.map((verb) => `${resource} ${verb}`));
/** Roles of the operator's account; the others are for users, to whom the chart binds none. */
const bound = (made: readonly Made[]): Made[] =>
  made.filter(({ kind, metadata }) =>
    made.some(({ roleRef }) => roleRef?.kind === kind && roleRef.name === metadata.name),
  );
const granted = (made: readonly Made[]): string[] =>
  sorted(bound(made).flatMap(({ rules = [] }) => rules.flatMap((rule) => rights(rule))));

/** No request asks for it: the admission plugin does, for an owner reference that blocks the owner's deletion. */
const byAdmission = 'dpojobs/finalizers update';

let place: Workplace;
beforeAll(async () => {
  const admission = '--enable-admission-plugins=OwnerReferencesPermissionEnforcement';
  place = await Workplace.open({ apiServer: [admission, ...auditFlags()] });
});
afterAll(() => place?.close());

/** A ConfigMap and a Job of somebody else, with the names that attempts would take. */
function takeNames(): void {
  place.kubectl.run(['create', 'configmap', 'config-taken-1']);
  const container = { name: 'c', image: 'i' };
  const template = { spec: { restartPolicy: 'Never', containers: [container] } };
  const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job-taken-1' }, spec: { template } };
  place.kubectl.run(['create', '-f', '-'], job);
}

async function suspendAndResume(name: string, changes: object): Promise<void> {
  place.apply(name, { ...changes, suspend: true });
  await place.until(`${name} is suspended`, () => {
    place.podsOf(name).forEach((pod) => place.confirmGone(pod));
    return place.isTrue(name, 'Suspended');
  });
  place.apply(name, { ...changes, suspend: false });
  await place.pod(name);
}

describe('the rights of the chart', () => {
  test('are those that docs/security.md tells', () => {
    const told = [...readFileSync('docs/security.md', 'utf8').matchAll(/^\| (`[a-z/`, ]+`)[^|]*\|([^|]+)\|[^|]*\|$/gm)];
    const rows = told.map(([, kinds = '', verbs = '']) => ({
      resources: [...kinds.matchAll(/[a-z/]+/g)].map(String),
      verbs: [...verbs.matchAll(/\b(?:get|list|watch|create|update|patch|delete)\b/g)].map(String),
    }));
    expect(sorted(rows.flatMap(rights))).toEqual(granted(renderChart([], 'default')));
  });

  test('are all used in the life of jobs, and none is missing', async () => {
    await place.start('one');
    takeNames();
    place.apply('config-taken');
    place.apply('job-taken');

    const output = { source: 's3://bucket/pushed', format: 'model' } as const;
    place.apply('pushed', { output });
    await place.pod('pushed');
    await suspendAndResume('pushed', { output });
    // The same Event again counts up; within five seconds it would only be remembered.
    await sleep(5000);
    await suspendAndResume('pushed', { output });

    place.apply('ended', { ttlSecondsAfterFinished: 0 });
    place.end(await place.pod('ended'), 0, leaves('Complete', 'done'));
    await place.until('it is deleted', () => place.stored('ended') === undefined);

    place.apply('stuck');
    // On a node, and no container: after five seconds the Events of the pod are asked for.
    place.bind((await place.pod('stuck')).metadata.name);
    for (const name of ['config-taken', 'job-taken']) {
      await place.until(`${name} is told`, () => place.condition(name, 'Accepted').reason === 'NameTaken');
    }
    await place.until('all is used', () => used().includes('events list') && used().includes('events patch'));
    await place.stopOperators();

    expect(refused()).toEqual([]);
    expect(used()).toEqual(granted(renderChart([], 'default')).filter((right) => right !== byAdmission));
  });

  test('on finalizers are asked for by the admission of an owner that may not be deleted before its child', async () => {
    await place.start('one');
    const rules = bound(renderChart([], 'default'))
      .filter(({ kind }) => kind === 'ClusterRole')
      .flatMap((made) => made.rules ?? [])
      .filter((rule) => !rights(rule).includes(byAdmission));
    place.kubectl.run(['patch', 'clusterrole', 'dpo', '--type=merge', '-p', JSON.stringify({ rules })]);
    place.apply('unowned');
    await place.until('it is told', () => /blockOwnerDeletion/.test(place.stored('unowned')?.status?.message ?? ''));
    expect(place.jobsOf('unowned')).toEqual([]);
  });
});

describe('the roles of users', () => {
  const apiGroups = ['training.dpo-operator.io'];
  const aggregated = (...values: string[]): object[] =>
    renderChart(values).flatMap(({ kind, metadata: { name, labels = {} }, rules }) => {
      const to = Object.entries(labels).filter(([key]) => key.includes('/aggregate-to-'));
      return to.length > 0 ? [{ kind, name, to: Object.fromEntries(to), rules }] : [];
    });

  test.each([[[]], [['watchNamespaces={team-a}']]])('are added to those that Kubernetes has, with %j', (values) => {
    expect(aggregated(...values)).toEqual([
      {
        kind: 'ClusterRole',
        name: 'dpo-dpojobs-view',
        to: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' },
        rules: [{ apiGroups, resources: ['dpojobs', 'dpojobs/status'], verbs: ['get', 'list', 'watch'] }],
      },
      {
        kind: 'ClusterRole',
        name: 'dpo-dpojobs-edit',
        to: {
          'rbac.authorization.k8s.io/aggregate-to-edit': 'true',
          'rbac.authorization.k8s.io/aggregate-to-admin': 'true',
        },
        rules: [
          { apiGroups, resources: ['dpojobs'], verbs: ['create', 'update', 'patch', 'delete', 'deletecollection'] },
        ],
      },
    ]);
  });

  test('let those who may edit a namespace make DPOJobs there, and those who may view it read them', async () => {
    const may = (user: string, verb: string, subresource?: string): boolean => {
      const namespace = 'default';
      const resourceAttributes = { namespace, verb, group: apiGroups[0], resource: 'dpojobs', subresource };
      const review = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, resourceAttributes },
      };
      return place.kubectl.run(['create', '-o', 'jsonpath={.status.allowed}', '-f', '-'], review) === 'true';
    };
    for (const role of ['view', 'edit'])
      place.kubectl.run(['create', 'rolebinding', role, `--clusterrole=${role}`, `--user=may-${role}`]);
    const roles = renderChart([]).filter(({ metadata }) => metadata.name.startsWith('dpo-dpojobs-'));
    for (const role of roles) place.kubectl.run(['apply', '-f', '-'], role);
    await place.until('added', () => may('may-view', 'list') && may('may-edit', 'create'));
    expect([may('may-edit', 'list'), may('may-edit', 'delete')]).toEqual([true, true]);
    const not = [may('stranger', 'list'), may('may-view', 'create'), may('may-edit', 'patch', 'status')];
    expect(not).toEqual([false, false, false]);
  });

  test('come with the CRD: without it, a release of some namespaces makes nothing of the whole cluster', () => {
    expect(aggregated('crds.install=false')).toEqual([]);
    const made = renderChart(['crds.install=false', 'watchNamespaces={team-a}']);
    expect(made.filter(({ metadata }) => metadata.namespace === undefined)).toEqual([]);
  });
});

describe('with watchNamespaces', () => {
  const values = ['watchNamespaces={team-a,team-b}'];
  const start = (name: string, more: Record<string, string> = {}): Promise<OperatorProcess> =>
    place.start(name, {
      KUBECONFIG: operatorAccount(place.plane, values, 'dpo-system'),
      POD_NAMESPACE: 'dpo-system',
      WATCH_NAMESPACES: 'team-a,team-b',
      ...more,
    });
  let here: Workplace;
  let there: Workplace;
  beforeAll(() => {
    place.within('dpo-system');
    [here, there] = [place.within('team-a'), place.within('team-b')];
  });

  test('there is no right on the whole cluster', () => {
    expect(renderChart(values).filter(({ kind }) => kind === 'ClusterRoleBinding')).toEqual([]);
    const namespaces = renderChart(values).flatMap(({ kind, metadata }) =>
      kind === 'Role' ? [metadata.namespace] : [],
    );
    expect(sorted(namespaces as string[])).toEqual(['dpo-system', 'team-a', 'team-b']);
  });

  test('jobs of these namespaces run, and of no other', async () => {
    const operator = await start('narrow');
    here.apply('first');
    there.apply('second');
    place.apply('other');
    await here.pod('first');
    here.end(await here.pod('first'), 0, leaves('Complete', 'done'));
    await here.until('Complete', () => here.isTrue('first', 'Complete'));
    await there.pod('second');
    expect(place.jobsOf('other')).toEqual([]);
    expect(operator.log.filter(({ message }) => /forbidden/.test(String(message)))).toEqual([]);
    const may = (verb: string, kind: string, namespace: string): string =>
      place.plane
        .kubectl(['auth', 'can-i', verb, kind, '-n', namespace, '--as=system:serviceaccount:dpo-system:dpo'])
        .output.trim();
    expect([
      may('create', 'jobs', 'team-a'),
      may('create', 'jobs', 'default'),
      may('list', 'pods', 'kube-system'),
    ]).toEqual(['yes', 'no', 'no']);
    await operator.stop();
  });

  test('a namespace that lost its rights holds up no other, and is served again once they are back', async () => {
    const rights = renderChart(values).filter(({ metadata }) => metadata.namespace === 'team-b');
    there.kubectl.run(['delete', 'role,rolebinding', 'dpo']);
    const operator = await start('bereft');
    here.apply('goes-on');
    there.apply('waits');
    await here.pod('goes-on');
    expect([await operator.ready(), there.jobsOf('waits')]).toEqual([true, []]);
    there.kubectl.run(['apply', '--server-side', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: rights });
    await there.pod('waits');
    await operator.stop();
  });

  test('another release in the same namespace has its own lease and leads beside it', async () => {
    const leases = (release: string): unknown =>
      renderChart(values, 'dpo-system', release).flatMap(({ rules = [] }) =>
        rules.flatMap((one) => one.resourceNames ?? []),
      );
    expect([leases('dpo'), leases('other')]).toEqual([['dpo-operator'], ['other-operator']]);
    const deployment = JSON.stringify(
      renderChart(values, 'dpo-system', 'other').find((one) => one.kind === 'Deployment'),
    );
    expect(deployment).toContain('{"name":"LEASE_NAME","value":"other-operator"}');

    const role = ['create', 'role', 'other', '--verb=get,create,update', '--resource=leases', '-n', 'dpo-system'];
    const binding = ['create', 'rolebinding', 'other', '--role=other', '--serviceaccount=dpo-system:dpo'];
    for (const one of [role, [...binding, '-n', 'dpo-system']]) place.kubectl.run(one);
    const [first, second] = [await start('first'), await start('second', { LEASE_NAME: 'other-operator' })];
    await place.until('both lead', async () => (await first.leads()) && (await second.leads()));
  });
});
