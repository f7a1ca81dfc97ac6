import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { applyHooks } from './hooks.ts';
import { buildKernels, kernelFiles } from './kernels/build.ts';

/**
 * `npm run engine [-- --gpu] [-- --prefix DIR]`: builds the binding of @tensorflow/tfjs-node-gpu, with our recorder in
 * it and our kernels beside it, against the libraries inside PyPI's TensorFlow wheel (its own download is TensorFlow 2.9 for CUDA 11.2). The
 * result is cached outside the project by the hash of everything it is made of, so a second run only links it.
 *
 * `--prefix DIR` copies the engine there instead of linking to the cache: an image has no cache.
 */
const { values: options } = parseArgs({
  options: { gpu: { type: 'boolean', default: false }, prefix: { type: 'string' } },
});

const here = import.meta.dirname;
const require = createRequire(import.meta.url);
const packageRoot = dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));
const napiHeaders = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
const requirements = join(here, options.gpu ? 'requirements-gpu.txt' : 'requirements-cpu.txt');
const units = ['recorder.cc', 'recorded-call.cc', 'exports.cc', 'attribute.cc', 'napi-values.cc', 'op-signature.cc'];
const ours = [...units, 'recorder.h', 'attribute.h', 'napi-values.h', 'op-signature.h'];

/** Stops with what was wrong and what to do; no stack, since the cause is the machine and not this program. */
function fail(message: string): never {
  console.error(`engine: ${message}`);
  process.exit(1);
}

function run(command: string, args: string[]): void {
  const { error, status, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${command} ${args[0]} failed:\n${error?.message ?? (stderr || stdout)}`);
}

/** Before anything is downloaded: every tool that the build uses, and the Debian packages they are in. */
const tools: [command: string[], packages: string][] = [
  [['python3', '--version'], 'python3 python3-pip'],
  [['python3', '-m', 'pip', '--version'], 'python3-pip'],
  [['g++', '--version'], 'g++'],
];

function checkTools(): void {
  for (const [[program = '', ...args], packages] of tools) {
    if (spawnSync(program, args, { stdio: 'ignore' }).status === 0) continue;
    fail(`"${[program, ...args].join(' ')}" does not work here. On Debian: apt-get install ${packages}`);
  }
}

function checkPlatform(): void {
  const supported = options.gpu ? ['linux x64'] : ['linux x64', 'linux arm64'];
  const found = `${process.platform} ${process.arch}`;
  if (!supported.includes(found)) {
    fail(`TensorFlow's wheel is for ${supported.join(' or ')}, this is ${found}. Use a container or such a machine.`);
  }
}

function contentHash(): string {
  const hash = createHash('sha256').update(`${process.arch} ${options.gpu}`);
  const files = [...ours, 'hooks.ts', 'install.ts'].map((name) => join(here, name));
  for (const file of [...files, ...kernelFiles(), requirements, join(packageRoot, 'package.json')])
    hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/** Only the libraries and the headers leave the wheels: 850 MB instead of 1.3 GB. */
const unpack = `
import glob, sys, zipfile
headers = tuple('tensorflow/include/' + part for part in ('tensorflow/c/', 'tensorflow/core/platform/', 'tensorflow/core/common_runtime/next_pluggable_device/c/', 'tsl/platform/', 'xla/tsl/'))
for wheel in glob.glob(sys.argv[1] + '/*.whl'):
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        library = '.so' in name and (name.startswith('tensorflow/libtensorflow_') or name.startswith('nvidia/'))
        if library or name.startswith(headers):
            archive.extract(name, sys.argv[2])
`;

function downloadTensorFlow(target: string): void {
  console.log(`engine: downloading TensorFlow ${options.gpu ? 'with CUDA, about 3.4 GB' : '(274 MB)'}`);
  const wheels = join(target, 'wheels');
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const glibc = [17, 24, 25, 26, 27, 28].flatMap((minor) => ['--platform', `manylinux_2_${minor}_${machine}`]);
  const platform = [...glibc, '--platform', `manylinux2014_${machine}`, '--python-version', '3.11'];
  const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes'];
  run('python3', [...pip, '--only-binary', ':all:', ...platform, '--dest', wheels, '-r', requirements]);
  run('python3', ['-c', unpack, wheels, target]);
  rmSync(wheels, { recursive: true });
}

function compile(target: string): void {
  console.log('engine: compiling the binding');
  const sources = join(target, 'binding');
  mkdirSync(sources);
  const theirs = join(packageRoot, 'binding');
  for (const file of readdirSync(theirs)) {
    writeFileSync(join(sources, file), applyHooks(file, readFileSync(join(theirs, file), 'utf8')));
  }
  for (const file of ours) copyFileSync(join(here, file), join(sources, file));
  const tensorflow = join(target, 'tensorflow');
  run('g++', [
    ...'-std=c++17 -O2 -fPIC -shared -DNAPI_VERSION=8 -DNODE_GYP_MODULE_NAME=tfjs_binding'.split(' '),
    ...[napiHeaders, join(tensorflow, 'include'), sources].map((folder) => `-I${folder}`),
    ...['tfjs_backend.cc', 'tfjs_binding.cc', ...units].map((unit) => join(sources, unit)),
    '-o',
    join(target, 'tfjs_binding.node'),
    `-L${tensorflow}`,
    '-l:libtensorflow_cc.so.2',
    '-l:libtensorflow_framework.so.2',
    '-Wl,-rpath,$ORIGIN/tensorflow',
    // Node.js unloads an addon with the last thread that used it; TensorFlow's handlers of the process's exit would then
    // point nowhere, and the exit code be lost to a crash.
    '-Wl,-z,nodelete',
  ]);
  rmSync(sources, { recursive: true });
  // Kernels are for CPUs; there are none of ours for arm64.
  if (!options.gpu && process.arch === 'x64') buildKernels(target, napiHeaders, run);
  rmSync(join(tensorflow, 'include'), { recursive: true });
}

/** Made under a temporary name and renamed when whole: two runs at once, or a killed one, leave nothing half made. */
function build(cached: string): void {
  checkTools();
  mkdirSync(dirname(cached), { recursive: true });
  const target = mkdtempSync(`${cached}.`);
  try {
    downloadTensorFlow(target);
    compile(target);
    renameSync(target, cached);
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    // Another run may have been first: then its result is as good.
    if (!existsSync(cached)) fail((error as Error).message);
  }
}

/** The package looks for its binding at lib/napi-v8. Replaced at once, and only by another: a trainer may be using it. */
function link(cached: string): void {
  const folder = join(packageRoot, 'lib', 'napi-v8');
  if (existsSync(folder) && realpathSync(folder) === realpathSync(cached)) return;
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(dirname(folder), { recursive: true });
  symlinkSync(cached, temporary);
  // A folder from another way of installing cannot be renamed over.
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) rmSync(folder, { recursive: true });
  renameSync(temporary, folder);
}

checkPlatform();
const cacheRoot = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
const cached = options.prefix ?? join(cacheRoot, `engine-${contentHash()}`);
if (!existsSync(join(cached, 'tfjs_binding.node'))) build(cached);
if (options.prefix === undefined) {
  link(cached);
  const { report } = await import('./report.ts');
  report();
}
