import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { trainerPort, trainerPortName } from '../../crds/run-config.ts';
import { trainerJob } from '../../operator/desired/trainer-job.ts';
import { renderChart, type Made } from '../cluster/chart.ts';
import { everything } from '../operator/everything.ts';
import { aJob, images } from '../operator/observed.ts';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';

/**
 * The chart's NetworkPolicies as objects: no network here enforces them. Whom they let in is worked out by the API's rules
 * (https://kubernetes.io/docs/concepts/services-networking/network-policies) from the labels that pods really get.
 */
jest.setTimeout(120_000);

type Labels = Record<string, string>;
interface Selector {
  matchLabels?: Labels;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}
interface Peer {
  namespaceSelector?: Selector;
  podSelector?: Selector;
}
interface Policy extends Made {
  spec: {
    podSelector: Selector;
    policyTypes: string[];
    ingress: { from: Peer[]; ports: { protocol: string; port: string | number }[] }[];
  };
}
interface Pod {
  namespace: string;
  labels: Labels;
  ports: { name: string; containerPort: number }[];
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  const equal = Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
  return equal && matchExpressions.every(({ key, operator }) => operator === 'Exists' && key in labels);
}

function isPeer({ namespaceSelector, podSelector = {} }: Peer, from: Pod, namespace: string): boolean {
  const there =
    namespaceSelector === undefined
      ? from.namespace === namespace
      : selects(namespaceSelector, { 'kubernetes.io/metadata.name': from.namespace });
  return there && selects(podSelector, from.labels);
}

interface Way {
  to: Pod;
  from: Pod;
  port: number;
}

/** Whether any policy of a pod's lets another in at a port; a pod without a policy lets all in. */
function letsIn(policies: readonly Policy[], to: Pod, { from, port }: { from: Pod; port: number }): boolean {
  const own = policies.filter(
    ({ metadata, spec }) => metadata.namespace === to.namespace && selects(spec.podSelector, to.labels),
  );
  const named = (wanted: string | number): number | undefined =>
    typeof wanted === 'number' ? wanted : to.ports.find(({ name }) => name === wanted)?.containerPort;
  const rules = own.flatMap(({ spec }) => spec.ingress);
  return (
    own.length === 0 ||
    rules.some(
      (rule) =>
        rule.from.some((peer) => isPeer(peer, from, to.namespace)) &&
        rule.ports.some((one) => named(one.port) === port),
    )
  );
}

const values = ['networkPolicy.enabled=true', 'watchNamespaces={team,other}'];
const rendered = (...set: string[]): Policy[] =>
  renderChart(set).filter(({ kind }) => kind === 'NetworkPolicy') as Policy[];

/** The operator's pod as the chart makes it. */
function operatorPod(namespace: string): Pod {
  const deployment = renderChart().find(({ kind }) => kind === 'Deployment') as unknown as {
    spec: { template: { metadata: { labels: Labels }; spec: { containers: { ports: Pod['ports'] }[] } } };
  };
  const { metadata, spec } = deployment.spec.template;
  return { namespace, labels: metadata.labels, ports: spec.containers[0]?.ports ?? [] };
}

/** A trainer's pod as the operator makes it. */
function trainerPod(changes: Parameters<typeof aJob>[0] = {}): Pod {
  const { template } = trainerJob(aJob(changes), 1, images).spec ?? {};
  const ports = template?.spec?.containers[0]?.ports as Pod['ports'];
  return { namespace: 'team', labels: template?.metadata?.labels ?? {}, ports };
}

const operator = operatorPod('dpo-system');
const prometheus: Pod = { namespace: 'monitoring', labels: { 'app.kubernetes.io/name': 'prometheus' }, ports: [] };
const trainers = { minimal: trainerPod(), 'with everything': trainerPod(everything) };
const stranger = (namespace: string, labels: Labels = { app: 'web' }): Pod => ({ namespace, labels, ports: [] });

describe('with networkPolicy.enabled', () => {
  const policies = rendered(...values);
  const metrics = operator.ports.find(({ name }) => name === 'metrics')?.containerPort as number;
  const health = operator.ports.find(({ name }) => name === 'health')?.containerPort as number;

  test.each<[string, Way, boolean]>([
    ['the operator reaches a trainer’s progress', { to: trainers.minimal, from: operator, port: trainerPort }, true],
    [
      'the operator reaches one whose pod has labels of its own',
      { to: trainers['with everything'], from: operator, port: trainerPort },
      true,
    ],
    ['Prometheus reaches a trainer’s metrics', { to: trainers.minimal, from: prometheus, port: trainerPort }, true],
    ['another port of a trainer is reached by nobody', { to: trainers.minimal, from: operator, port: 22 }, false],
    [
      'a stranger in its namespace does not reach a trainer',
      { to: trainers.minimal, from: stranger('team'), port: trainerPort },
      false,
    ],
    [
      'nor one in the operator’s namespace',
      { to: trainers.minimal, from: stranger('dpo-system'), port: trainerPort },
      false,
    ],
    [
      'a trainer does not reach another',
      { to: trainers.minimal, from: trainers['with everything'], port: trainerPort },
      false,
    ],
    [
      'nor does a pod with the operator’s labels elsewhere',
      { to: trainers.minimal, from: operatorPod('team'), port: trainerPort },
      false,
    ],
    ['Prometheus reaches the operator’s metrics', { to: operator, from: prometheus, port: metrics }, true],
    ['and no other port of it', { to: operator, from: prometheus, port: health }, false],
    ['a stranger does not reach the operator', { to: operator, from: stranger('team'), port: metrics }, false],
    ['a trainer does not reach the operator', { to: operator, from: trainers.minimal, port: metrics }, false],
    ['pods that are not ours are left alone', { to: stranger('team'), from: stranger('elsewhere'), port: 80 }, true],
  ])('%s', (_, { to, from, port }, expected) => {
    expect(letsIn(policies, to, { from, port })).toBe(expected);
  });

  test('the trainer’s port has the name by which the policy knows it', () => {
    expect(trainers.minimal.ports).toEqual([{ name: trainerPortName, containerPort: trainerPort }]);
    expect(policies.map(({ spec }) => spec.ingress[0]?.ports)).toEqual(
      policies.map(() => [{ protocol: 'TCP', port: trainerPortName }]),
    );
  });

  test('there is one in the operator’s namespace and one in each that it watches, for what comes in alone', () => {
    expect(policies.map(({ metadata }) => metadata.namespace)).toEqual(['dpo-system', 'team', 'other']);
    expect(policies.map(({ spec }) => spec.policyTypes)).toEqual(policies.map(() => ['Ingress']));
  });

  test('where all namespaces are watched, trainers are protected in those that are named', () => {
    const named = rendered('networkPolicy.enabled=true', 'networkPolicy.namespaces={team}');
    expect(named.map(({ metadata }) => metadata.namespace)).toEqual(['dpo-system', 'team']);
    expect(rendered('networkPolicy.enabled=true').map(({ metadata }) => metadata.namespace)).toEqual(['dpo-system']);
  });

  test('Prometheus may be told otherwise, as more than one', () => {
    const scrapers = ['vmagent', 'alloy'].flatMap((app, index) => [
      `networkPolicy.prometheus[${index}].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring`,
      `networkPolicy.prometheus[${index}].podSelector.matchLabels.app=${app}`,
    ]);
    const other = rendered(...values, ...scrapers);
    expect(letsIn(other, trainers.minimal, { from: prometheus, port: trainerPort })).toBe(false);
    for (const app of ['vmagent', 'alloy']) {
      const from = stranger('monitoring', { app });
      expect(letsIn(other, trainers.minimal, { from, port: trainerPort })).toBe(true);
    }
  });

  test('one told by its address has none of the default’s selectors', () => {
    const from = (all: readonly Policy[]): Peer[][] => all.map(({ spec }) => spec.ingress.flatMap((rule) => rule.from));
    const peer = { ipBlock: { cidr: '10.1.0.0/24' } };
    const told = rendered(...values, 'networkPolicy.prometheus[0].ipBlock.cidr=10.1.0.0/24');
    expect(from(told)).toEqual(from(policies).map((peers) => [...peers.slice(0, -1), peer]));
  });

  // Without a peer the policy would let everybody in.
  test.each(['=null', '={}', '[0].ipBlock.cidr=10.1.0.0/24,networkPolicy.prometheus[0].podSelector.matchLabels.app=a'])(
    'networkPolicy.prometheus%s is refused',
    (told) => {
      expect(() => rendered(...values, `networkPolicy.prometheus${told}`)).toThrow(/prometheus/);
    },
  );

  test('and so is the one peer in place of a list, as the chart once had it', () => {
    const old = 'networkPolicy.prometheus.podSelector.matchLabels.app=vmagent';
    expect(() => rendered(...values, old)).toThrow(/prometheus.*array/s);
  });
});

test('without it there is none', () => {
  expect(rendered()).toEqual([]);
});

describe('the API server', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
  });
  afterAll(() => plane?.stop());

  test('takes them as they are', () => {
    const items = rendered(...values);
    const namespaces = items.map(({ metadata: { namespace: name } }) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name },
    }));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...namespaces, ...items] });
    expect(plane.kubectl(['create', '-f', '-'], list)).toMatchObject({ code: 0 });
    for (const { metadata, spec } of items) {
      const { output } = plane.kubectl(['-n', metadata.namespace ?? '', 'get', 'netpol', metadata.name, '-o', 'json']);
      expect((JSON.parse(output) as Policy).spec).toEqual(spec);
    }
  });
});
