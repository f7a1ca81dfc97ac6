import { readFileSync } from 'node:fs';

/** What of package-lock.json is read of a package. */
interface Locked {
  name?: string;
  version?: string;
  integrity?: string;
  license?: string;
  link?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}
interface Component {
  type: 'library';
  name: string;
  version: string;
  purl: string;
  hashes: { alg: string; content: string }[];
  licenses?: { expression: string }[];
}

const wheels = { trainer: 'requirements-cpu.txt', 'trainer-gpu': 'requirements-gpu.txt' } as const;
const workspaces = { operator: 'operator', trainer: 'trainer-image', 'trainer-gpu': 'trainer-image' } as const;
type Stage = keyof typeof workspaces;

/** Where Node.js finds a package that one at `from` asks for: in its own folder, else in those above. */
function resolve(packages: Record<string, Locked>, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[path] !== undefined) return path;
    if (folder === '') return undefined;
    if (!folder.includes('node_modules/')) folder = '';
  }
}

/** Paths in the lock file of all that a workspace needs when it runs. */
function needed(packages: Record<string, Locked>, workspace: string): Set<string> {
  const found = new Set<string>();
  const left = ['', workspace];
  for (const path of left) {
    const { dependencies, optionalDependencies } = packages[path] ?? {};
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const place = resolve(packages, path, name);
      if (place === undefined || found.has(place)) continue;
      found.add(place);
      left.push(place);
    }
  }
  return found;
}

function component(path: string, { version = '', integrity = '', license, name: own }: Locked): Component {
  const name = own ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const [algorithm = '', digest = ''] = integrity.split('-');
  const alg = algorithm.replace('sha', 'SHA-');
  return {
    type: 'library',
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    hashes: digest === '' ? [] : [{ alg, content: Buffer.from(digest, 'base64').toString('hex') }],
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
  };
}

/** Python's wheels, whose libraries the trainer's binding is linked with. */
function wheelComponents(file: string): Component[] {
  const text = readFileSync(`trainer-image/engine/native/${file}`, 'utf8').replaceAll('\\\n', ' ');
  return text.split('\n').flatMap((line) => {
    const [, name, version] = /^([A-Za-z0-9_.-]+)==(\S+)/.exec(line) ?? [];
    if (name === undefined || version === undefined) return [];
    const hashes = [...line.matchAll(/sha256:([0-9a-f]{64})/g)].map(([, content = '']) => ({
      alg: 'SHA-256',
      content,
    }));
    return [{ type: 'library', name, version, purl: `pkg:pypi/${name.toLowerCase()}@${version}`, hashes }];
  });
}

/**
 * The bill of materials of an image in CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json), from the lock files alone: the
 * same for the same sources. `npm sbom` would need a newer npm than Debian's, and knows no wheels. Debian's own packages
 * are not in it: `dpkg -l` in the image has them.
 */
export function sbomOf(stage: Stage): object {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
  const { version = '' } = lock.packages[''] ?? {};
  const own = [...needed(lock.packages, workspaces[stage])]
    .filter((path) => lock.packages[path]?.link !== true)
    .map((path) => component(path, lock.packages[path] as Locked));
  const foreign = stage === 'operator' ? [] : wheelComponents(wheels[stage]);
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { type: 'container', name: `dpo-${stage}`, version } },
    components: [...own, ...foreign].toSorted((a, b) => a.purl.localeCompare(b.purl)),
  };
}
