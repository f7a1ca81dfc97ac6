import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Takes the schemas of the fields that `spec.pod` hands on whole from the pinned Kubernetes OpenAPI document, which its Go
 * module carries: `sh scripts/node scripts/extract-kubernetes.ts`. The result is committed; run it again to follow a new
 * version.
 */
const version = 'v1.34.4';
const wanted = ['LocalObjectReference', 'Toleration', 'Affinity', 'EnvVar', 'PodSecurityContext'];

type Schema = Record<string, unknown>;
const module = execFileSync('go', ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`], { encoding: 'utf8' });
const root = (JSON.parse(module) as { Dir: string }).Dir;
const document = readFileSync(join(root, 'api', 'openapi-spec', 'swagger.json'), 'utf8');
const { definitions } = JSON.parse(document) as { definitions: Record<string, Schema> };

/** Inlines references and drops descriptions: a CRD's schema has neither references nor room for them. */
function inline(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(inline);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref: reference, description: _, ...rest } = schema as Schema;
  if (typeof reference === 'string') return inline(definitions[reference.replace('#/definitions/', '')]);
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, inline(value)]));
}

const names = wanted.map((kind) => `io.k8s.api.core.v1.${kind}`);
const result = { version, definitions: Object.fromEntries(names.map((name) => [name, inline(definitions[name])])) };
writeFileSync(join('crds', 'kubernetes', 'definitions.json'), `${JSON.stringify(result, null, 1)}\n`);
console.log(`${names.length} definitions of Kubernetes ${version}`);
