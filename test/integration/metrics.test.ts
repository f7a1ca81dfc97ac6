import { copyFileSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Agent, fetch } from 'undici';
import { renderChart } from '../cluster/chart.ts';
import { operatorAccount } from '../cluster/operator-account.ts';
import type { OperatorProcess } from './operator-process.ts';
import { Workplace } from './workplace.ts';

/** Metrics over HTTPS for those who may read them, with the rights that the chart gives for it. */
jest.setTimeout(120_000);
const values = ['metrics.certificateSecret=metrics-tls', 'metrics.authentication=token'];
const certificates = mkdtempSync(join(tmpdir(), 'certificate-'));
let place: Workplace;
let operator: OperatorProcess;
let agent: Agent;

/** As the kubelet does with a Secret: each file is there whole or not at all. */
function install(name: string): void {
  for (const kind of ['key', 'crt']) {
    copyFileSync(join(place.plane.folder, `${name}.${kind}`), join(certificates, `new.${kind}`));
    renameSync(join(certificates, `new.${kind}`), join(certificates, `tls.${kind}`));
  }
}

function tokenOf(account: string): string {
  return place.kubectl.run(['create', 'token', account]).trim();
}

const bearer = (): string => `Bearer ${tokenOf('prometheus')}`;

interface Asked {
  authorization?: string | undefined;
  path?: string;
  port?: number;
}
async function scrape({ authorization, path = '/metrics', port = operator.metricsPort }: Asked) {
  const headers = authorization === undefined ? {} : { authorization };
  const url = `https://127.0.0.1:${port}${path}`;
  const response = await fetch(url, { headers, dispatcher: agent });
  return { status: response.status, body: await response.text() };
}

const environment = (): Record<string, string> => ({
  KUBECONFIG: operatorAccount(place.plane, values),
  METRICS_CERTIFICATE: certificates,
  METRICS_AUTHENTICATION: 'token',
});

beforeAll(async () => {
  place = await Workplace.open();
  install('apiserver');
  agent = new Agent({ connect: { ca: readFileSync(join(place.plane.folder, 'ca.crt'), 'utf8') } });
  for (const name of ['prometheus', 'nobody']) place.kubectl.run(['create', 'serviceaccount', name]);
  operator = await place.start('one', environment());
  const reader = ['create', 'clusterrolebinding', 'prometheus', '--clusterrole=dpo-metrics-reader'];
  place.kubectl.run([...reader, '--serviceaccount=default:prometheus']);
});
afterAll(async () => {
  await agent?.close();
  await place?.close();
});

test('an account with the right of the chart reads them', async () => {
  const { status, body } = await scrape({ authorization: bearer() });
  expect([status, body]).toEqual([200, expect.stringContaining('leader_election_master_status')]);
});

test('they are read of a standby too', async () => {
  const leads = 'leader_election_master_status{name="dpo-operator"}';
  await place.until('a leader', async () => (await scrape({ authorization: bearer() })).body.includes(`${leads} 1`));
  const standby = await place.start('two', environment());
  const { status, body } = await scrape({ authorization: bearer(), port: standby.metricsPort });
  expect([status, body]).toEqual([200, expect.stringContaining(`${leads} 0`)]);
  await standby.stop();
});

test.each<[string, () => string | undefined, number]>([
  ['no token', () => undefined, 401],
  ['a token of nobody', () => 'Bearer eyJhbGciOiJub25lIn0.e30.', 401],
  ['a changed token', () => `Bearer ${tokenOf('prometheus').slice(0, -4)}AAAA`, 401],
  ['a token as long as headers may be', () => `Bearer ${'a'.repeat(15_000)}`, 401],
  ['a password', () => `Basic ${Buffer.from('admin:admin').toString('base64')}`, 401],
  ['two tokens', () => 'Bearer a b', 401],
  ['an account without the right', () => `Bearer ${tokenOf('nobody')}`, 403],
])('with %s nothing is read', async (_, authorization, expected) => {
  const { status, body } = await scrape({ authorization: authorization() });
  expect([status, body.includes('dpo_')]).toEqual([expected, false]);
});

test.each(['/', '/metrics/', '/constructor', '/__proto__', '/metrics%00'])('there is nothing at %s', async (path) => {
  expect(await scrape({ authorization: bearer(), path })).toMatchObject({ status: 404 });
});

test('HTTP is not answered', async () => {
  await expect(fetch(`http://127.0.0.1:${operator.metricsPort}/metrics`)).rejects.toThrow();
});

test('a renewed certificate is taken up without a restart', async () => {
  const subject = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port: operator.metricsPort, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject.CN as string);
        socket.end();
      }).once('error', reject);
    });
  expect(await subject()).toBe('kube-apiserver');
  install('kubelet-client');
  await place.until('the new one', async () => (await subject()) === 'kube-apiserver-kubelet-client', 30);
  expect(await scrape({ authorization: bearer() })).toMatchObject({ status: 200 });
});

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what is in a spec of that kind
const specOf = <T>(wanted: string, set: string[]): T =>
  (renderChart(set).find(({ kind }) => kind === wanted) as { spec: T }).spec;

test('Prometheus is told to come over HTTPS with its token, and by the name in the certificate', () => {
  const endpoints = (...set: string[]): unknown => specOf<{ endpoints: unknown[] }>('ServiceMonitor', set).endpoints;
  const plain = { port: 'metrics', interval: '15s', honorLabels: true };
  expect(endpoints()).toEqual([plain]);
  expect(endpoints(...values)).toEqual([
    {
      ...plain,
      scheme: 'https',
      tlsConfig: {
        serverName: 'dpo-metrics.dpo-system.svc',
        ca: { secret: { name: 'metrics-tls', key: 'ca.crt' } },
      },
      bearerTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    },
  ]);
});

test('the operator has the certificate in its pod, and no other part of the Secret', () => {
  const pod = (...set: string[]): unknown => specOf<{ template: { spec: unknown } }>('Deployment', set).template.spec;
  expect(pod()).not.toHaveProperty('volumes');
  expect(pod(...values)).toMatchObject({
    volumes: [
      {
        name: 'certificate',
        secret: {
          secretName: 'metrics-tls',
          items: [
            { key: 'tls.crt', path: 'tls.crt' },
            { key: 'tls.key', path: 'tls.key' },
          ],
        },
      },
    ],
    containers: [
      {
        env: expect.arrayContaining([
          { name: 'METRICS_CERTIFICATE', value: '/etc/dpo/certificate' },
          { name: 'METRICS_AUTHENTICATION', value: 'token' },
        ]),
        volumeMounts: [{ name: 'certificate', mountPath: '/etc/dpo/certificate', readOnly: true }],
      },
    ],
  });
});

test('tokens over HTTP are refused when the chart is rendered', () => {
  expect(() => renderChart(['metrics.authentication=token'])).toThrow(/needs metrics.certificateSecret/);
});
