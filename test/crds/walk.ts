import { parse } from 'yaml';
import { customResourceDefinitionYaml } from '../../crds/generate.ts';

/** A node of the CRD's schema, as the API server gets it. */
export interface Schema {
  type?: string;
  format?: string;
  description?: string;
  nullable?: boolean;
  enum?: unknown[];
  default?: unknown;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMaximum?: boolean;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-validations'?: { rule: string; message?: string }[];
}

interface Version {
  name: string;
  served: boolean;
  storage: boolean;
  subresources: Record<string, object>;
  additionalPrinterColumns: { name: string; jsonPath: string }[];
  schema: { openAPIV3Schema: Schema & { properties: { spec: Schema; status: Schema } } };
}

export const crd = parse(customResourceDefinitionYaml()) as {
  metadata: { name: string };
  spec: {
    group: string;
    scope: string;
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames: string[];
      categories: string[];
    };
    versions: [Version, ...Version[]];
  };
};
export const version = crd.spec.versions[0];
export const { spec, status } = version.schema.openAPIV3Schema.properties;

function walk(schema: Schema, path: string): [path: string, node: Schema][] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, node]) => walk(node, `${path}.${name}`));
  const items = schema.items === undefined ? [] : walk(schema.items, `${path}[]`);
  const values = schema.additionalProperties === undefined ? [] : walk(schema.additionalProperties, `${path}{}`);
  return [[path, schema], ...inner, ...items, ...values];
}

/** Every field of spec and status; `a.b[]` is an item of a list, `a.b{}` a value of a map. */
export const nodes = [...walk(spec, 'spec'), ...walk(status, 'status')];

/** Paths of the fields for which something holds. */
export const pathsOf = (holds: (node: Schema, path: string) => boolean): string[] =>
  nodes.filter(([path, node]) => holds(node, path)).map(([path]) => path);
