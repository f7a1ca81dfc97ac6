import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { specSchema, type DPOJob } from '../../crds/dpojob.ts';
import { startControlPlane, type ControlPlane } from '../cluster/control-plane.ts';
import { startWithCrd } from './kubectl.ts';

let plane: ControlPlane;
const examples = readdirSync('crds/examples').filter((name) => name.endsWith('.yaml'));
const refused = readdirSync('crds/examples/refused');
const stored = (name: string): DPOJob =>
  JSON.parse(plane.kubectl(['get', 'dpojob', name, '-o', 'json']).output) as DPOJob;
const create = (job: object): { code: number; output: string } => plane.kubectl(['create', '-f', '-'], stringify(job));
const patch = (name: string, change: object): { code: number; output: string } =>
  plane.kubectl(['patch', 'dpojob', name, '--type=merge', '-p', JSON.stringify({ spec: change })]);
const job = (name: string, spec: object = {}): object => ({
  ...(parse(readFileSync('crds/examples/minimal.yaml', 'utf8')) as DPOJob),
  metadata: { name },
  spec: { ...(parse(readFileSync('crds/examples/minimal.yaml', 'utf8')) as DPOJob).spec, ...spec },
});

beforeAll(async () => {
  plane = await startWithCrd();
}, 120_000);
afterAll(() => plane.stop());

describe('the API server', () => {
  test.each(examples)('accepts %s and stores what the schema’s own defaults are', (file) => {
    const source = parse(readFileSync(`crds/examples/${file}`, 'utf8')) as DPOJob;
    expect(create(source)).toMatchObject({ code: 0 });
    const { spec } = stored(source.metadata.name);
    expect(specSchema.parse(spec)).toEqual(specSchema.parse(source.spec));
    expect(spec.training).toEqual(specSchema.parse(source.spec).training);
  });

  test.each(refused)('refuses %s with a message that names the field', (file) => {
    const text = readFileSync(`crds/examples/refused/${file}`, 'utf8');
    const expected = /^# refused: (.*)$/m.exec(text)?.[1] as string;
    const { code, output } = plane.kubectl(['create', '-f', '-'], text);
    expect(code).not.toBe(0);
    expect(output).toContain(expected);
  });

  test.each([
    ['1e-6', 1e-6],
    ['1.0e-06', 1e-6],
    ['0.000001', 1e-6],
    ['1', 1],
    ['1.0', 1],
    ['0.1', 0.1],
    ['0.30000000000000004', 0.30000000000000004],
  ])('gives a learning rate written as %s back as %d', (written, learningRate) => {
    const name = `rate-${written.replaceAll(/[^a-z0-9]/g, '-')}`;
    const text = stringify(job(name, { training: { learningRate: 'WRITTEN' } })).replace('WRITTEN', written);
    expect(plane.kubectl(['create', '-f', '-'], text)).toMatchObject({ code: 0 });
    expect(stored(name).spec.training.learningRate).toBe(learningRate);
  });

  test('takes the CRD as structural and its names as its own, and explains a field', () => {
    const { output } = plane.kubectl(['get', 'crd', 'dpojobs.training.dpo-operator.io', '-o', 'json']);
    const { status } = JSON.parse(output) as { status: { conditions: { type: string; status: string }[] } };
    const conditions = status.conditions.map(({ type, status: is }) => `${type} ${is}`).toSorted();
    // NonStructuralSchema would stand here with what its validation found.
    expect(conditions).toEqual(['Established True', 'NamesAccepted True']);
    const { output: explained } = plane.kubectl(['explain', 'dpojob.spec.nodeLossSeconds']);
    expect(explained).toMatch(/nodeLossSeconds\s+<integer>[^]*How long a node may not answer/);
  });

  test('shows the columns of `kubectl get dpoj`', () => {
    const { output } = plane.kubectl(['get', 'dpoj']);
    expect(output.split('\n')[0]?.split(/\s+/)).toEqual([
      'NAME',
      'STATE',
      'STEP',
      'LOSS',
      'MARGIN',
      'ACCURACY',
      'RESTARTS',
      'REASON',
      'AGE',
    ]);
  });
});

describe('a stored DPOJob', () => {
  const fixed: [string, object][] = [
    ['model', { model: { source: 'pvc://models/other' } }],
    ['dataset', { dataset: { holdout: 0.1 } }],
    ['sft', { sft: { epochs: 2 } }],
    ['training', { training: { beta: 0.5 } }],
    ['output', { output: { source: 'pvc://models/other' } }],
    ['accelerator', { accelerator: { count: 0 } }],
    ['pod', { pod: { affinity: { nodeAffinity: {} } } }],
    ['resources', { resources: { limits: { cpu: '2' } } }],
    ['checkpoint.gracePeriodSeconds', { checkpoint: { gracePeriodSeconds: 60 } }],
  ];
  const full = {
    sft: {},
    training: { beta: 0.5 },
    resources: { limits: { cpu: '2' } },
    pod: { schedulerName: 'mine' },
  };
  beforeAll(() => {
    expect(create(job('full', full))).toMatchObject({ code: 0 });
    expect(create(job('fixed'))).toMatchObject({ code: 0 });
    expect(create(job('suspended', { suspend: true }))).toMatchObject({ code: 0 });
  });

  test.each(fixed)('refuses a change of spec.%s', (field, change) => {
    const { code, output } = patch('fixed', change);
    expect([code, output]).toEqual([1, expect.stringContaining(`spec.${field}`)]);
  });

  test.each(['model', 'dataset', 'sft', 'training', 'output', 'resources', 'pod'])(
    'refuses the removal of spec.%s',
    (field) => {
      const { code, output } = patch('full', { [field]: null });
      expect([code, output]).toEqual([1, expect.stringContaining(`spec.${field}`)]);
    },
  );

  test.each([
    ['suspend', { suspend: true }],
    ['backoffLimit', { backoffLimit: 7 }],
    ['ttlSecondsAfterFinished', { ttlSecondsAfterFinished: 60 }],
    ['evaluation.everySteps', { evaluation: { everySteps: 7 } }],
    ['checkpoint.keep', { checkpoint: { keep: 5, everySteps: 9 } }],
  ])('takes a change of spec.%s', (_, change) => {
    expect(patch('fixed', change)).toMatchObject({ code: 0 });
    expect(stored('fixed').spec).toMatchObject(change);
  });

  test.each([
    ['pod', { pod: { nodeSelector: { zone: 'a' } } }],
    ['resources', { resources: { limits: { cpu: 2, memory: '4Gi' } } }],
  ])('takes a change of spec.%s while it is suspended', (_, change) => {
    expect(patch('suspended', change)).toMatchObject({ code: 0 });
  });
});

describe('two control planes', () => {
  test('live side by side', async () => {
    const other = await startControlPlane();
    try {
      expect(other.kubectl(['get', 'dpojobs']).output).toMatch(/doesn't have a resource type/);
      expect(plane.kubectl(['get', 'dpojobs'])).toMatchObject({ code: 0 });
    } finally {
      other.stop();
    }
  }, 120_000);
});
