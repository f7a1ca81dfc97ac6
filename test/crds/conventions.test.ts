import { describe, expect, test } from '@jest/globals';
import { conditionTypes, failureReasons, refusalReasons, waitReasons } from '../../crds/conditions.ts';
import { exitCodes } from '../../crds/exit-codes.ts';
import { crd, nodes, pathsOf, spec, status, version, type Schema } from './walk.ts';

/**
 * The checklist of a reviewer of Kubernetes APIs (API conventions, kube-api-linter), walked over the CRD. What is exempted is
 * so by name, with the reason; an exemption that nothing needs any more fails.
 */
const isKubernetes = (path: string): boolean => path.startsWith('spec.pod.');
const nameOf = (path: string): string => path.split('.').at(-1) ?? '';

/** Holds a list of what breaks a rule against the exemptions of that rule. */
function onlyExempted(found: string[], exempted: string[]): void {
  expect(found.toSorted()).toEqual(exempted.toSorted());
}

describe('the kind', () => {
  const { names, scope, versions, group } = crd.spec;

  test('has names that belong together, one rare short name, and a category of its own', () => {
    expect(crd.metadata.name).toBe(`${names.plural}.${group}`);
    expect([names.plural, names.singular, names.listKind]).toEqual(['dpojobs', 'dpojob', 'DPOJobList']);
    expect(names.shortNames).toEqual(['dpoj']);
    expect(names.categories).toEqual(['dpo']);
    expect(scope).toBe('Namespaced');
  });

  test('has one version that is served and stored, and status is a subresource', () => {
    expect(versions.map(({ name, served, storage }) => [name, served, storage])).toEqual([['v1alpha1', true, true]]);
    expect(Object.keys(version.subresources)).toEqual(['status']);
  });

  test('has columns that name fields, none by its place in a list', () => {
    const fields = new Set(nodes.map(([path]) => `.${path}`));
    for (const { jsonPath } of version.additionalPrinterColumns) {
      expect([jsonPath, fields.has(jsonPath) || jsonPath === '.metadata.creationTimestamp']).toEqual([jsonPath, true]);
    }
  });
});

describe('every field', () => {
  test('has a lower camel case name without underscores or abbreviations in capitals at its start', () => {
    const named = pathsOf((_, path) => !/[\]}]$/.test(path)).map(nameOf);
    expect(named.filter((name) => !/^[a-z][A-Za-z0-9]*$/.test(name))).toEqual([]);
  });

  test('is not called phase, and none may be null', () => {
    expect(pathsOf((node, path) => nameOf(path) === 'phase' || node.nullable === true)).toEqual([]);
  });

  test('that counts time says its unit: no durations as text', () => {
    const timed = /(timeout|deadline|ttl|period|interval|duration|delay|seconds|grace)/i;
    const found = nodes.filter(([path]) => timed.test(nameOf(path)) && !isKubernetes(path));
    expect(found.length).toBeGreaterThan(8);
    expect(
      found.filter(([path, { type }]) => type === 'object' || type === 'boolean' || !/Seconds/.test(path)),
    ).toEqual([]);
    expect(pathsOf(({ format }) => format === 'duration')).toEqual([]);
  });

  test('that is a time is called so', () => {
    const times = pathsOf(({ format }, path) => format === 'date-time' && !isKubernetes(path)).map(nameOf);
    // Of an object that is one event: its time.
    expect(times.filter((name) => !name.endsWith('Time') && name !== 'time')).toEqual([]);
  });

  test('says what it means', () => {
    const silent = pathsOf(
      ({ description }, path) => description === undefined && !isKubernetes(path) && !/[\]}]$/.test(path),
    );
    // Of a reference, and of a condition and what names it, Kubernetes' own meaning.
    const own = /(Ref\.(name|key)|^status\.conditions.*)$/;
    expect(silent.filter((path) => !own.test(path))).toEqual([]);
  });

  test('that is a reference is called so, and names an object of its own namespace', () => {
    const references = nodes.filter(
      ([path, { properties }]) => !isKubernetes(path) && properties?.['name'] !== undefined,
    );
    expect(references.map(([path]) => nameOf(path)).filter((name) => !/Refs?(\[\])?$/.test(name))).toEqual([]);
    expect(references.filter(([, { properties }]) => properties?.['namespace'] !== undefined)).toEqual([]);
  });

  test('that is one of a few words has them in CamelCase', () => {
    const foreign = pathsOf(
      (node, path) =>
        !isKubernetes(path) && (node.enum?.some((word) => !/^[A-Z][A-Za-z0-9]*$/.test(String(word))) ?? false),
    );
    onlyExempted(foreign, [
      // TRL's and PyTorch's words.
      'spec.training.loss[].type',
      'spec.training.fDivergence',
      'spec.training.optimizer',
      'spec.training.schedule',
      'spec.training.truncation',
      'spec.training.precision',
      'spec.sft.schedule',
      // Names of file formats.
      'spec.dataset.format',
      'spec.dataset.sources[].format',
      'spec.sft.dataset.format',
      'spec.output.format',
      // Names of fields of status.metrics.
      'spec.evaluation.metricForBest',
      'status.best.metric',
    ]);
  });

  test('that is a yes or no is one that may stay so', () => {
    onlyExempted(
      pathsOf(({ type }, path) => type === 'boolean' && !isKubernetes(path)),
      [
        // Job's own.
        'spec.suspend',
        // TRL's, Hugging Face's and PEFT's own.
        'spec.dataset.shuffle',
        'spec.sft.packing',
        'spec.training.useWeighting',
        'spec.training.fullDeterminism',
        'spec.training.gradientCheckpointing',
        'spec.training.lora.useRslora',
        'spec.training.lora.useDora',
        'spec.evaluation.loadBestModelAtEnd',
        'spec.reference.precompute',
        'spec.output.private',
        // What was done.
        'status.best.exported',
      ],
    );
  });

  test("that is a map is one whose keys are the user's, or reasons", () => {
    onlyExempted(
      pathsOf(({ additionalProperties }, path) => additionalProperties !== undefined && !isKubernetes(path)),
      ['spec.resources.limits', 'spec.resources.requests', 'status.data.dropped', 'status.data.findings'],
    );
  });

  test('that is a whole number has a least and, in the spec, a largest', () => {
    const whole = ({ type }: Schema, path: string): boolean => type === 'integer' && !isKubernetes(path);
    onlyExempted(
      pathsOf((node, path) => whole(node, path) && node.minimum === undefined),
      // Of containers of any kind.
      ['status.lastFailure.exitCode'],
    );
    expect(pathsOf((node, path) => whole(node, path) && path.startsWith('spec') && node.maximum === undefined)).toEqual(
      [],
    );
  });

  test('of a union has no default: which one is set would not be seen', () => {
    const members = ['source', 'sources', 'configMapRef'].map(
      (name) => spec.properties?.['dataset']?.properties?.[name],
    );
    expect(members.map((one) => one !== undefined && one.default === undefined)).toEqual([true, true, true]);
    const lasting = ['epochs', 'maxSteps'].map((name) => spec.properties?.['training']?.properties?.[name]?.default);
    expect(lasting).toEqual([1, undefined]);
  });
});

describe('status', () => {
  test('has conditions first, as a map by their type, with room for all, and asks for no field', () => {
    expect(Object.keys(status.properties ?? {})[0]).toBe('conditions');
    const conditions = status.properties?.['conditions'];
    expect(conditions).toMatchObject({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });
    expect(conditions?.maxItems).toBeGreaterThanOrEqual(conditionTypes.length);
    const { required = [], properties } = conditions?.items ?? {};
    expect(required.toSorted()).toEqual(['lastTransitionTime', 'message', 'reason', 'status', 'type']);
    expect(Object.keys(properties ?? {})).toContain('observedGeneration');
    expect(status.required).toBeUndefined();
    expect(status.properties?.['observedGeneration']).toBeDefined();
  });

  test('has types and reasons of conditions that are CamelCase words, each reason once', () => {
    const reasons = [refusalReasons, failureReasons, waitReasons, exitCodes].flatMap((one) => Object.keys(one));
    expect([...conditionTypes, ...reasons].filter((word) => !/^[A-Z][A-Za-z0-9]{1,62}$/.test(word))).toEqual([]);
    expect(reasons.filter((one, i) => reasons.indexOf(one) !== i)).toEqual([]);
  });
});

test('a spec needs a model, a data set and an output, and nothing else', () => {
  expect(spec.required?.toSorted()).toEqual(['dataset', 'model', 'output']);
});
