import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installMissing } from './debian.ts';
import { sbomOf } from './sbom.ts';

/**
 * `npm run images [-- --push REGISTRY] [--tag TAG] [--gpu] [--base IMAGE]`: builds the images by Debian's buildah, as root, and leaves
 * each as a docker archive in the cache, named by its sources' hash, with its bill of materials beside it (.cdx.json); a second run builds only what changed. Without
 * --base the base is made here by mmdebstrap, so that no image registry is needed. With --push they go to a registry,
 * and the helm command that uses them is printed.
 */
const help = `usage: npm run images [-- --push REGISTRY] [--tag TAG] [--gpu] [--base IMAGE]
  --push REGISTRY  pushes, for example to registry.example.com/dpo, and prints the helm command
  --tag TAG        of what is pushed; each build that others will run needs one of its own
  --gpu            also builds trainer-gpu (3.4 GB to download)
  --base IMAGE     a Debian 12 image instead of one made here`;

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const cacheRoot = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
const localBase = 'localhost/dpo-base:12';

const common = [
  'Dockerfile',
  '.dockerignore',
  '.npmrc',
  'package.json',
  'package-lock.json',
  'scripts/images.ts',
  'crds/*.ts',
  'crds/kubernetes/definitions.json',
];
const sources = {
  operator: [...common, 'operator/**/*.{ts,json}'],
  trainer: [...common, 'trainer-image/**/*.{ts,json,cc,h,txt}'],
};
export type Stage = 'operator' | 'trainer' | 'trainer-gpu';

/** Name of an image on this machine. */
export const imageName = (stage: Stage): string => `localhost/dpo/${stage}:${version}`;

/** Where the docker archive of a stage is, built or not: named by all that it is made of. */
export function archiveOf(stage: Stage, base = localBase): string {
  const hash = createHash('sha256').update(`${process.arch} ${base} `);
  for (const file of globSync(sources[stage === 'operator' ? 'operator' : 'trainer']).toSorted()) {
    if (!file.includes('node_modules') && statSync(file).isFile()) hash.update(file).update(readFileSync(file));
  }
  return join(cacheRoot, 'images', `${stage}-${hash.digest('hex').slice(0, 16)}.tar`);
}

/** Stops with what was wrong and what to do. */
function fail(message: string): never {
  console.error(`images: ${message}`);
  process.exit(1);
}

/** buildah with its state below the cache: nothing of the machine's own is read or changed. */
function buildah(args: string[], quiet = false): string {
  const state = join(cacheRoot, 'buildah');
  mkdirSync(join(state, 'run'), { recursive: true });
  const file = (name: string, text: string): string => {
    const path = join(state, name);
    writeFileSync(path, text);
    return path;
  };
  const env = {
    ...process.env,
    XDG_RUNTIME_DIR: join(state, 'run'),
    BUILDAH_ISOLATION: 'chroot',
    TMPDIR: state,
    CONTAINERS_REGISTRIES_CONF: file('registries.conf', ''),
    CONTAINERS_STORAGE_CONF: file(
      'storage.conf',
      `[storage]\ndriver = "${storageDriver()}"\nrunroot = "${state}/run"\ngraphroot = "${state}/storage"\n`,
    ),
  };
  const policy = file('policy.json', '{"default":[{"type":"insecureAcceptAnything"}]}');
  const withPolicy = ['bud', 'from', 'push', 'pull'].includes(args[0] ?? '') ? ['--signature-policy', policy] : [];
  const [command = '', ...rest] = args;
  const stdio = quiet ? ('pipe' as const) : ('inherit' as const);
  const { status, stdout, stderr } = spawnSync('buildah', [command, ...withPolicy, ...rest], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', quiet ? 'pipe' : 'inherit', stdio],
  });
  if (status !== 0) fail(`buildah ${command} failed${quiet ? `:\n${stderr}` : ' (see above)'}`);
  return stdout?.trim() ?? '';
}

let driver: string | undefined;
/** Overlays where the file system carries them (a container's own often does not), else whole copies. */
function storageDriver(): string {
  if (driver !== undefined) return driver;
  const folder = join(cacheRoot, 'buildah', 'try');
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(folder, name), { recursive: true });
  const options = `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
  const works = spawnSync('mount', ['-t', 'overlay', 'overlay', '-o', options, join(folder, 'merged')]).status === 0;
  if (works) spawnSync('umount', [join(folder, 'merged')]);
  rmSync(folder, { recursive: true, force: true });
  driver = works ? 'overlay' : 'vfs';
  return driver;
}

/** Documentation and translations, which Debian's slim images leave out too. */
const leftOut = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/locale/*',
  '/usr/share/info/*',
  '/usr/share/lintian/*',
];

function makeBase(): string {
  if (buildah(['images', '--quiet', '--filter', `reference=${localBase}`], true) !== '') return localBase;
  console.log('images: making a Debian base (about a minute, once)');
  const archive = join(cacheRoot, 'buildah', 'base.tar');
  // The package `usrmerge` would bring all of Perl (45 MB) to move folders that the hook makes right from the start.
  const merged = ['--include=usr-is-merged', '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr'];
  const excludes = leftOut.map((path) => `--dpkgopt=path-exclude=${path}`);
  const options = [
    '--variant=minbase',
    '--mode=root',
    '--quiet',
    ...excludes,
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  ];
  const { status } = spawnSync('mmdebstrap', [...options, ...merged, 'bookworm', archive], { stdio: 'inherit' });
  if (status !== 0) fail('mmdebstrap failed (see above)');
  const container = buildah(['from', 'scratch'], true);
  buildah(['add', container, archive, '/'], true);
  buildah(['commit', '--rm', container, localBase], true);
  rmSync(archive);
  return localBase;
}

/** The machine's own settings for package registries and its certificates reach the build as read-only mounts. */
function hostSettings(): string[] {
  const files: [from: string, to: string, namedBy?: string][] = [
    // Where no user's folder of the image is; the Dockerfile's ARGs tell npm and pip.
    [join(homedir(), '.npmrc'), '/mnt/npmrc', 'NPM_CONFIG_USERCONFIG'],
    [join(homedir(), '.config/pip/pip.conf'), '/mnt/pip.conf', 'PIP_CONFIG_FILE'],
    ['/etc/pip.conf', '/etc/pip.conf'],
    // update-ca-certificates adds what lies here.
    ['/etc/ssl/certs/ca-certificates.crt', '/usr/local/share/ca-certificates/host.crt'],
    ['/etc/apt/apt.conf', '/etc/apt/apt.conf'],
  ];
  return files
    .filter(([from]) => existsSync(from))
    .flatMap(([from, to, namedBy]) => [
      '--volume',
      `${from}:${to}:ro`,
      ...(namedBy === undefined ? [] : ['--build-arg', `${namedBy}=${to}`]),
    ]);
}

function build(stage: Stage, base: string): void {
  const archive = archiveOf(stage, base);
  mkdirSync(join(cacheRoot, 'images'), { recursive: true });
  writeFileSync(archive.replace(/tar$/, 'cdx.json'), `${JSON.stringify(sbomOf(stage), undefined, 2)}\n`);
  if (existsSync(archive)) {
    console.log(`images: ${stage} is built already`);
    return;
  }
  console.log(`images: building ${stage}`);
  const name = imageName(stage);
  const pull = base === localBase ? ['--pull-never'] : [];
  buildah([
    'bud',
    '--layers',
    '--quiet',
    ...pull,
    ...hostSettings(),
    '--build-arg',
    `BASE=${base}`,
    '--target',
    stage,
    '-t',
    name,
    '.',
  ]);
  rmSync(`${archive}.partial`, { force: true });
  buildah(['push', name, `docker-archive:${archive}.partial:${name}`], true);
  renameSync(`${archive}.partial`, archive);
  console.log(`images: ${stage}: ${Math.round(statSync(archive).size / 1e6)} MB`);
}

function push(stages: Stage[], registry: string, tag: string, base: string): void {
  for (const stage of stages) {
    // The name in buildah's storage may be another checkout's: the archive is what these sources made.
    const id = buildah(['pull', '--quiet', `docker-archive:${archiveOf(stage, base)}`], true);
    buildah(['push', id, `docker://${registry}/${stage}:${tag}`]);
  }
  console.log(helmInstall(stages, registry, tag));
}

/** The exact command that installs what was pushed, or upgrades to it. */
export function helmInstall(stages: readonly Stage[], registry: string, tag: string): string {
  const gpu = stages.includes('trainer-gpu') ? ` --set trainer.gpuImage=${registry}/trainer-gpu:${tag}` : '';
  return `helm upgrade --install dpo charts/dpo-operator --namespace dpo-system --create-namespace \\
  --set image.repository=${registry}/operator --set-string image.tag=${tag} \\
  --set trainer.image=${registry}/trainer:${tag}${gpu}`;
}

function main(): void {
  const options = {
    push: { type: 'string' },
    tag: { type: 'string', default: version },
    gpu: { type: 'boolean', default: false },
    base: { type: 'string' },
  } as const;
  const { values } = parseArgs({ options });
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    fail(
      'buildah needs Linux and root here. With Docker: docker build --target operator .  (then trainer, trainer-gpu)',
    );
  }
  const tools = { buildah: 'buildah', mmdebstrap: 'mmdebstrap' };
  if (!installMissing(tools)) process.exit(1);
  const stages: Stage[] = ['operator', 'trainer', ...(values.gpu ? (['trainer-gpu'] as const) : [])];
  const base = values.base ?? makeBase();
  for (const stage of stages) build(stage, base);
  if (values.push !== undefined) push(stages, values.push, values.tag, base);
}

if (process.argv[1] === import.meta.filename) {
  if (process.argv.includes('--help')) console.log(help);
  else main();
}
