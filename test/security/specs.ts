/**
 * Hostile specifications, and what must become of each: refused when the DPOJob is applied, or taken since nothing follows
 * from it but a job that fails by itself. Checked by the schema (specs.test.ts) and by the API server (hostile.test.ts).
 */
export interface HostileSpec {
  title: string;
  /** Replaces whole parts of a spec that is fine. */
  change: Record<string, unknown>;
  becomes: 'refused' | 'taken';
}

export const fine = {
  model: { source: 'pvc://models/m' },
  dataset: { source: 'pvc://data/pairs.jsonl' },
  output: { source: 'pvc://models/out' },
};

const nul = String.fromCodePoint(0);
const escape = String.fromCodePoint(27);

/** Ways out of a claim, whichever field they stand in. */
const claimTricks: [string, string][] = [
  ['a step up', 'pvc://models/../../etc/passwd'],
  ['a step up at the end', 'pvc://models/..'],
  ['a step up for the claim', 'pvc://../etc'],
  ['a step in place', 'pvc://models/./m'],
  ['an empty part', 'pvc://models//m'],
  ['no claim', 'pvc:///etc/passwd'],
  ['an absolute path', '/etc/passwd'],
  ['a file URL', 'file:///etc/passwd'],
  ['steps up in hexadecimal', 'pvc://models/%2e%2e/m'],
  ['a hidden slash', 'pvc://models/a%2fb'],
  ['backslashes', 'pvc://models/a\\..\\..\\b'],
  ['a NUL', `pvc://models/m${nul}.jsonl`],
  ['a line end', 'pvc://models/m\nx'],
  ['a line end at the end', 'pvc://models/m\n'],
  ['an escape sequence', `pvc://models/${escape}[2J`],
  ['a mark that turns the line round', 'pvc://models/\u202Enosj'],
  ['a full-width step up', 'pvc://models/\uFF0E\uFF0E/m'],
  ['a home folder', 'pvc://models/~/m'],
  ['a shell’s command', 'pvc://models/$(id)'],
  ['a shell’s old command', 'pvc://models/`id`'],
  ['a second command', 'pvc://models/m;id'],
  ['a quote', "pvc://models/m'"],
  ['a template', 'pvc://models/{{m}}'],
  ['a query', 'pvc://models/m?x=y'],
  ['a claim that no claim can be', 'pvc://Models/m'],
  ['a claim longer than names may be', `pvc://${'a'.repeat(254)}/m`],
  ['more than a kilobyte', `pvc://models/${'a/'.repeat(600)}m`],
];

const remoteTricks: [string, string][] = [
  ['without protection on the way', 'http://example.com/m'],
  ['with credentials', 'https://user:password@example.com/m'],
  ['with a step up', 'https://example.com/../m'],
  ['with a step up in hexadecimal', 'https://example.com/%2E%2e/m'],
  ['with a hidden backslash', 'https://example.com/a%5Cb'],
  ['with a hidden NUL', 'https://example.com/a%00b'],
  ['with a fragment', 'https://example.com/m#x'],
  ['with a line end', 'https://example.com/m\r\nX-Header: y'],
  ['with a space', 'https://example.com/m HTTP/1.1'],
  ['of another scheme', 'gopher://example.com/m'],
  ['of a script', 'javascript:alert(1)'],
  ['of data in itself', 'data:application/json,{}'],
  ['of an address in brackets', 'https://[::1]/m'],
  ['of a bucket that is a path', 's3://../m'],
  ['of a step up in a bucket', 's3://bucket/../m'],
  ['of a whole bucket', 's3://bucket'],
  ['of a query in a bucket', 's3://bucket/m?acl'],
];

/** One field for each kind of source. */
const fields: Record<string, (source: string) => Record<string, unknown>> = {
  'model.source': (source) => ({ model: { source } }),
  'dataset.source': (source) => ({ dataset: { source } }),
  'output.source': (source) => ({ output: { source } }),
  'cache.source': (source) => ({ cache: { source } }),
};

const refusedIn = (field: string, tricks: [string, string][]): HostileSpec[] =>
  tricks.map(([what, source]) => ({
    title: `${field}: ${what}`,
    change: (fields[field] as (source: string) => Record<string, unknown>)(source),
    becomes: 'refused',
  }));

/** Groups within each other. */
export const deep = (levels: number): unknown => {
  let value: unknown = {};
  for (let i = 0; i < levels; i++) value = { a: value };
  return value;
};

const refused = (title: string, change: Record<string, unknown>): HostileSpec => ({
  title,
  change,
  becomes: 'refused',
});
const taken = (title: string, change: Record<string, unknown>): HostileSpec => ({ title, change, becomes: 'taken' });

const training = (fields: object): Record<string, unknown> => ({ training: fields });
const configMap = (fields: object): Record<string, unknown> => ({
  dataset: { configMapRef: { name: 'c', ...fields } },
});
const secret = (name: string): Record<string, unknown> => ({ model: { source: 'hf://org/name', secretRef: { name } } });

const others: HostileSpec[] = [
  refused('the Hub: a step up for the name', { model: { source: 'hf://org/..' } }),
  refused('the Hub: a step up in the revision', { model: { source: 'hf://org/name@../main' } }),
  refused('the Hub: a step up in a reference', { model: { source: 'hf://org/name@refs/heads/../x' } }),
  refused('the Hub: an option for a name', { model: { source: 'hf://org/-name' } }),
  refused('the Hub: a step up in a data set', { dataset: { source: 'hf://datasets/org/name/../../x' } }),
  refused('the Hub: a data set for a model', { model: { source: 'hf://datasets/org/name' } }),
  refused('a Secret of another namespace', secret('../kube-system/token')),
  refused('a Secret with a slash', secret('kube-system/token')),
  refused('a Secret with a line end', secret('a\nb')),
  refused('a Secret without a name', secret('')),
  refused('a Secret longer than names may be', secret('a'.repeat(254))),
  refused('a ConfigMap’s key that steps up', configMap({ key: '../job.json' })),
  refused('a ConfigMap’s key that is a path', configMap({ key: '/proc/self/environ' })),
  refused('a ConfigMap’s key that is only a step up', configMap({ key: '..' })),
  refused('a ConfigMap’s key with a NUL', configMap({ key: `a${nul}` })),
  refused('a ConfigMap that is a path', { dataset: { configMapRef: { name: '../c' } } }),
  refused('a chat template of over 64 KiB', { model: { ...fine.model, chatTemplate: 'x'.repeat(65_537) } }),
  refused('33 data sets', { dataset: { sources: Array.from({ length: 33 }, () => fine.dataset) } }),
  refused('a list for a text', { model: { source: ['pvc://models/m'] } }),
  refused('a group for a text', { model: { source: { toString: 'pvc://models/m' } } }),
  refused('a number for a text', { model: { source: 7 } }),
  refused('a negative beta', training({ beta: -1 })),
  refused('a beta of 0', training({ beta: 0 })),
  refused('a beta beyond its bound', training({ beta: 1e300 })),
  refused('a text for a beta', training({ beta: '0.1' })),
  refused('a truth for a beta', training({ beta: true })),
  refused('a fraction of a step', training({ maxSteps: 0.5 })),
  refused('more steps than can be', training({ maxSteps: 2 ** 53 })),
  refused('a batch without end', training({ batchSize: 1e9 })),
  refused('a length that would fill memory', training({ maxLength: 2 ** 31 })),
  refused('a loss that is none', training({ loss: [{ type: '__proto__' }] })),
  refused('a loss named as what every object has', training({ loss: [{ type: 'constructor' }] })),
  refused('losses without end', training({ loss: Array.from({ length: 100 }, () => ({ type: 'sigmoid' })) })),
  refused('a negative time to live', { ttlSecondsAfterFinished: -1 }),
  refused('a time to live beyond any', { ttlSecondsAfterFinished: 1e18 }),
  refused('restarts without end', { backoffLimit: 1e9 }),
  refused('many workers', { workers: 1000 }),
  refused('an accelerator that is a path', { accelerator: { resource: '../gpu' } }),
  refused('many accelerators', { accelerator: { count: 1e6 } }),
  refused('a manager that is a script', { managedBy: '<script>alert(1)</script>' }),
  refused('a manager with a line end', { managedBy: 'a.io/b\nc' }),
  refused('a volume over the operator’s own', { pod: { volumes: [{ name: 'run-config', emptyDir: {} }] } }),
  refused('a volume over a claim’s', { pod: { volumes: [{ name: 'claim-models', emptyDir: {} }] } }),
  refused('a mount over the job’s file', { pod: { volumeMounts: [{ name: 'x', mountPath: '/etc/dpo' }] } }),
  refused('a mount over all claims', { pod: { volumeMounts: [{ name: 'x', mountPath: '/volumes/' }] } }),
  refused('65 variables', { pod: { env: Array.from({ length: 65 }, (_, i) => ({ name: `A${i}`, value: '' })) } }),
  refused('65 volumes', { pod: { volumes: Array.from({ length: 65 }, (_, i) => ({ name: `a${i}`, emptyDir: {} })) } }),
  refused('an image of over a kilobyte', { pod: { image: 'a'.repeat(1025) } }),
  refused('an annotation of over 64 KiB', { pod: { annotations: { a: 'x'.repeat(65_537) } } }),
  refused('a list for a group', { pod: [] }),
  taken('an address of the machine itself, which answers the pod as it would any', {
    model: { source: 'https://127.0.0.1/m' },
  }),
  taken('a cloud’s address for metadata: docs/security.md tells how to close it', {
    model: { source: 'https://169.254.169.254/latest/meta-data' },
  }),
  taken('a name of dots and dashes', { model: { source: 'pvc://models/...' } }),
  taken('a key that begins with a dot', configMap({ key: '.data' })),
  taken('a path of many parts', { model: { source: `pvc://models/${'a/'.repeat(400)}m` } }),
  taken('a chat template that is hostile: it is bounded where it runs', {
    model: { ...fine.model, chatTemplate: '{% for i in range(10 ** 12) %}{% endfor %}' },
  }),
  taken('a column named as what every object has', { dataset: { ...fine.dataset, columns: { prompt: '__proto__' } } }),
  taken('a column of control characters', { dataset: { ...fine.dataset, columns: { prompt: `${escape}[31m` } } }),
];

/** Fields that no schema knows: the API server refuses them where clients ask it to, as kubectl does. */
export const unknownFields: [string, Record<string, unknown>][] = [
  ['a thousand levels', { x: deep(1000) }],
  ['a prototype', JSON.parse('{"__proto__": {"suspend": true}}') as Record<string, unknown>],
  ['a constructor', { constructor: { prototype: {} } }],
  ['another tool’s', { learning_rate: 1 }],
  ['a container of its own', { containers: [{ name: 'x', securityContext: { privileged: true } }] }],
  ['the host’s network', { pod: { hostNetwork: true } }],
  ['the host’s processes', { pod: { hostPID: true } }],
  ['a container’s security', { pod: { containerSecurityContext: { privileged: true } } }],
  ['another command', { pod: { command: ['sh'] } }],
];

export const hostileSpecs: readonly HostileSpec[] = [
  ...Object.keys(fields).flatMap((field) => refusedIn(field, claimTricks)),
  ...['model.source', 'dataset.source', 'output.source'].flatMap((field) => refusedIn(field, remoteTricks)),
  ...others,
];
