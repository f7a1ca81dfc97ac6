import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { goFor } from '../test/cluster/go-program.ts';

/**
 * Takes the schemas of the fields that `spec.pod` hands on whole from the OpenAPI document of the Kubernetes that the tests
 * run, which its Go module carries: `sh scripts/node scripts/extract-kubernetes.ts`. The result is committed, and a test
 * of the integration ring, which has Go, makes it again; run it to follow a new version.
 */
const file = join('crds', 'kubernetes', 'definitions.json');
const goMod = readFileSync('test/cluster/kubeall/go.mod', 'utf8');
const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(goMod)?.[1] as string;
const wanted = [
  'LocalObjectReference',
  'Toleration',
  'Affinity',
  'TopologySpreadConstraint',
  'EnvVar',
  'EnvFromSource',
  'PodSecurityContext',
  'PodResourceClaim',
  'Volume',
  'VolumeMount',
];
/** A quantity may be written as a number, too. */
const quantity = '#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity';

type Schema = Record<string, unknown>;
/** The OpenAPI document as Kubernetes ships it. */
function readDefinitions(): Record<string, Schema> {
  const options = {
    encoding: 'utf8' as const,
    cwd: tmpdir(),
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '' },
  };
  const go = goFor('kubeall');
  const module = execFileSync(go, ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`], options);
  const root = (JSON.parse(module) as { Dir: string }).Dir;
  const document = readFileSync(join(root, 'api', 'openapi-spec', 'swagger.json'), 'utf8');
  return (JSON.parse(document) as { definitions: Record<string, Schema> }).definitions;
}

/** Inlines references and drops descriptions: a CRD's schema has neither references nor room for them. */
function inline(schema: unknown, definitions: Record<string, Schema>): unknown {
  if (Array.isArray(schema)) return schema.map((one) => inline(one, definitions));
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref: reference, description: _, ...rest } = schema as Schema;
  if (reference === quantity) return { type: 'string', format: 'int-or-string' };
  if (typeof reference === 'string') return inline(definitions[reference.replace('#/definitions/', '')], definitions);
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, inline(value, definitions)]));
}

/** The text of definitions.json. */
export function definitionsText(): string {
  const all = readDefinitions();
  const names = wanted.map((kind) => `io.k8s.api.core.v1.${kind}`);
  const definitions = Object.fromEntries(names.map((name) => [name, inline(all[name], all)]));
  return `${JSON.stringify({ version, definitions }, null, 1)}\n`;
}

if (process.argv[1] === import.meta.filename) writeFileSync(file, definitionsText());
