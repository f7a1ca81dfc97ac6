import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { group, kind, maxNameLength, namePattern, plural, specSchema, version } from './dpojob.ts';
import { statusSchema } from './status.ts';
import { immutableRules } from './immutable.ts';

type Schema = Record<string, unknown>;

const definitions = (
  JSON.parse(readFileSync(join(import.meta.dirname, 'kubernetes', 'definitions.json'), 'utf8')) as {
    definitions: Record<string, Schema>;
  }
).definitions;

/** Upper bounds for what Kubernetes leaves open: CEL's cost, and what is stored, are bounded by them. */
const bounds = { maxItems: 32, maxLength: 1024, maxProperties: 64 };

/** A schema of Kubernetes' own OpenAPI document as a structural schema with bounds. */
function bounded(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bounded);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema as Schema).filter(([key]) => !/^x-kubernetes-(patch|group|unions)/.test(key));
  const result = Object.fromEntries(
    entries.map(([key, value]) => [
      key,
      key === 'default' || key === 'required' || key === 'enum' ? value : bounded(value),
    ]),
  );
  if (result['format'] === 'int-or-string') return { 'x-kubernetes-int-or-string': true };
  if (result['type'] === 'array') result['maxItems'] ??= bounds.maxItems;
  addBounds(result);
  return result;
}

/** zod writes bounds of safe integers on every integer that has none of its own. */
function dropSafeIntegerBounds(schema: Schema): void {
  for (const bound of ['minimum', 'maximum']) {
    if (Math.abs(Number(schema[bound])) === Number.MAX_SAFE_INTEGER) delete schema[bound];
  }
}

/** Puts Kubernetes' own schema in the place of a node that names one; returns whether it did. */
function takeDefinition(schema: Schema): boolean {
  const { kubernetes: definition, description } = schema;
  if (typeof definition !== 'string') return false;
  for (const key of Object.keys(schema)) delete schema[key];
  Object.assign(schema, bounded(definitions[definition]), description === undefined ? {} : { description });
  return true;
}

/** List types and upper bounds, which zod has no word for. */
function addBounds(schema: Schema): void {
  const text = schema['type'] === 'string' && schema['enum'] === undefined && schema['format'] !== 'date-time';
  if (text) schema['maxLength'] ??= bounds.maxLength;
  if (schema['type'] === 'array') schema['x-kubernetes-list-type'] ??= 'atomic';
  if (schema['additionalProperties'] !== undefined) schema['maxProperties'] ??= bounds.maxProperties;
}

/**
 * The API server checks an object's default by the object's rules, before it fills in the fields' own defaults: an empty
 * default must have them already.
 */
function completeDefault(schema: Schema): void {
  if (schema['x-kubernetes-validations'] === undefined || JSON.stringify(schema['default']) !== '{}') return;
  const fields = Object.entries(schema['properties'] as Record<string, Schema>);
  schema['default'] = Object.fromEntries(
    fields.filter(([, field]) => field['default'] !== undefined).map(([name, field]) => [name, field['default']]),
  );
}

/** The API server compares a whole number with the whole part of a bound alone: 0 would pass for at least 0.5. */
function repeatFraction(schema: Schema): void {
  const { minimum } = schema;
  if (typeof minimum !== 'number' || Number.isInteger(minimum)) return;
  // Zod visits a node more than once.
  schema['x-kubernetes-validations'] ??= [{ rule: `self >= ${minimum}`, message: `must be at least ${minimum}` }];
}

/** Turns one node of zod's JSON Schema into what a CRD's structural schema allows. */
function makeStructural(schema: Schema): void {
  if (takeDefinition(schema)) return;
  delete schema['$schema'];
  delete schema['propertyNames'];
  if (schema['x-kubernetes-int-or-string'] === true) {
    delete schema['anyOf'];
    delete schema['type'];
    return;
  }
  dropSafeIntegerBounds(schema);
  if (schema['type'] === 'integer') schema['format'] = 'int64';
  if (schema['format'] === 'date-time') delete schema['pattern'];
  addBounds(schema);
  repeatFraction(schema);
  completeDefault(schema);
}

/** A zod schema as the structural schema of a CRD, from what a user writes. */
export function structural(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    unrepresentable: 'throw',
    override: ({ jsonSchema }) => makeStructural(jsonSchema as Schema),
  }) as Schema;
}

const columns = [
  { name: 'State', type: 'string', jsonPath: '.status.state' },
  { name: 'Step', type: 'integer', jsonPath: '.status.progress.step' },
  { name: 'Loss', type: 'number', jsonPath: '.status.metrics.loss' },
  { name: 'Margin', type: 'number', jsonPath: '.status.metrics.rewardMargin' },
  { name: 'Accuracy', type: 'number', jsonPath: '.status.metrics.rewardAccuracy' },
  { name: 'Restarts', type: 'integer', jsonPath: '.status.restarts' },
  { name: 'Reason', type: 'string', jsonPath: '.status.reason' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
];

/** Children are named after the job: the name must leave room for their suffixes. */
const nameRules = [
  {
    rule: `self.metadata.name.size() <= ${maxNameLength} && self.metadata.name.matches('${namePattern}')`,
    message: `metadata.name must be at most ${maxNameLength} lower-case letters, digits and '-', starting with a letter`,
  },
];

/** The CustomResourceDefinition. */
export function customResourceDefinition(): Schema {
  const spec = structural(specSchema);
  spec['x-kubernetes-validations'] = [...immutableRules, ...(spec['x-kubernetes-validations'] as object[])];
  spec['description'] = 'What to train, on what, and how';
  const status = structural(statusSchema);
  status['description'] = 'What the operator has seen; written by it alone';
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: ['dpoj'],
        categories: ['dpo'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: 'A training job by Direct Preference Optimization',
              required: ['spec'],
              'x-kubernetes-validations': nameRules,
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec,
                status,
              },
            },
          },
        },
      ],
    },
  };
}

function yaml(object: Schema): string {
  const notice = '# Generated from crds/dpojob.ts by `npm run generate`: do not edit.\n';
  return notice + stringify(object, { aliasDuplicateObjects: false, lineWidth: 120 });
}

/** crds/dpojob.yaml. */
export const customResourceDefinitionYaml = (): string => yaml(customResourceDefinition());

/** The chart's copy: it stays when the chart is uninstalled, since every DPOJob would go with it. */
export function chartCustomResourceDefinitionYaml(): string {
  const crd = customResourceDefinition();
  const annotations = { 'helm.sh/resource-policy': 'keep' };
  return yaml({ ...crd, metadata: { ...(crd['metadata'] as object), annotations } });
}
