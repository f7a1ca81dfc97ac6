import { describe, expect, test } from '@jest/globals';
import { immutableRules } from '../../crds/immutable.ts';
import { nodes, pathsOf, spec, type Schema } from './walk.ts';

/** A walk over the CRD as the API server gets it: bounds, list types and rules. Names and shapes: conventions.test.ts. */

describe('every field of the CRD', () => {
  test('is reached by the walk', () => {
    expect(nodes.length).toBeGreaterThan(300);
    expect(pathsOf(({ type }) => type === 'array').length).toBeGreaterThan(20);
  });

  test('has a type, and keeps nothing that it does not know', () => {
    expect(pathsOf((node) => node.type === undefined && node['x-kubernetes-int-or-string'] !== true)).toEqual([]);
    expect(pathsOf((node) => node['x-kubernetes-preserve-unknown-fields'] === true)).toEqual([]);
  });

  test('that is a list says how it is merged; one that is a map of its keys names keys that each item must have', () => {
    expect(pathsOf((node) => node.type === 'array' && node['x-kubernetes-list-type'] === undefined)).toEqual([]);
    const keyless = ({ items, ...node }: Schema): boolean =>
      node['x-kubernetes-list-type'] === 'map' &&
      !(node['x-kubernetes-list-map-keys'] ?? ['']).every((key) => items?.properties?.[key] !== undefined);
    expect(pathsOf(keyless)).toEqual([]);
  });

  test('that is a string, list or map has an upper bound: what a rule costs is reckoned from it', () => {
    const bounded = ({ type, ...node }: Schema): boolean =>
      type !== 'string' || node.maxLength !== undefined || node.enum !== undefined || node.format === 'date-time';
    expect(pathsOf((node) => !bounded(node))).toEqual([]);
    expect(pathsOf(({ type, maxItems }) => type === 'array' && maxItems === undefined)).toEqual([]);
    expect(pathsOf((node) => node.additionalProperties !== undefined && node.maxProperties === undefined)).toEqual([]);
  });

  test('with rules and a default has in it every default that its rules may read', () => {
    const lacks = (node: Schema): boolean =>
      node.default !== undefined &&
      node['x-kubernetes-validations'] !== undefined &&
      Object.entries(node.properties ?? {}).some(
        ([name, property]) => property.default !== undefined && !(name in (node.default as object)),
      );
    expect(pathsOf(lacks)).toEqual([]);
  });

  test('with a rule has a message for it', () => {
    const silent = (node: Schema): boolean =>
      node['x-kubernetes-validations']?.some(({ message }) => (message ?? '').length < 15) ?? false;
    expect(pathsOf(silent)).toEqual([]);
  });
});

/**
 * The API conventions advise against floating point in a spec. A user writes `beta: 0.1` everywhere else, and both ends
 * are IEEE doubles: fields of these names are numbers all the same. A new one is added here.
 */
const fractions = {
  dataset: 'holdout',
  'dataset.sources[]': 'weight',
  reference: 'mixupAlpha',
  'training.lora': 'alpha dropout',
  'dataset.quality.thresholds':
    'empty identical contradicting duplicate leaking truncated lengthBias promptDiversity ngramDiversity labelNoise',
  sft: 'epochs learningRate warmup minLrRate',
  'training.loss[]': 'weight',
  training:
    'beta labelSmoothing fAlphaDivergenceCoef ldAlpha discopopTau simpoGamma cpoAlpha learningRate weightDecay betas[] ' +
    'epsilon momentum rmspropAlpha maxGradNorm warmup minLrRate epochs',
  'evaluation.earlyStopping': 'minDelta',
};
const exempted = new Set(
  Object.entries(fractions).flatMap(([parent, names]) => names.split(' ').map((name) => `spec.${parent}.${name}`)),
);

describe('a number in the spec', () => {
  const numbers = nodes.filter(([path, { type }]) => path.startsWith('spec') && type === 'number');

  test('that may have a fraction is one of those exempted by name', () => {
    expect(numbers.map(([path]) => path).filter((path) => !exempted.has(path))).toEqual([]);
  });

  test('has an upper bound, and a whole one stays within what a double holds', () => {
    expect(numbers.filter(([, { maximum }]) => maximum === undefined).map(([path]) => path)).toEqual([]);
    const tooLarge = ({ type, maximum = 0 }: Schema): boolean =>
      type === 'integer' && maximum > Number.MAX_SAFE_INTEGER;
    expect(pathsOf(tooLarge)).toEqual([]);
  });
});

test('every part of the spec is immutable but those that are named', () => {
  const ruled = new Set(
    immutableRules.flatMap(({ rule }) => [...rule.matchAll(/self\.([a-zA-Z]+)/g)].map(([, field]) => field)),
  );
  const free = Object.keys(spec.properties ?? {}).filter((field) => !ruled.has(field));
  expect(free.toSorted()).toEqual([
    'activeDeadlineSeconds',
    'backoffLimit',
    'nodeLossSeconds',
    'progressDeadlineSeconds',
    'startDeadlineSeconds',
    'suspend',
    'ttlSecondsAfterFinished',
  ]);
});
