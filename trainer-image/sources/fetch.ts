import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { secretPrefixes } from '../../crds/run-config.ts';
import { isClaim, shownSource } from '../../crds/sources.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import type { Run } from '../config.ts';
import { TrainerError } from '../errors.ts';
import type { Reporter } from '../stages/context.ts';
import { checkDigest } from './digest.ts';
import { download, isFetched } from './download.ts';
import { secretFields, sourceEnvironment, type SourceEnvironment } from './environment.ts';
import { waitBeating, type Asker } from './http.ts';
import { listHttps } from './https.ts';
import { listHub, parseHubSource, type Wanted } from './hub.ts';
import { folderName, type Listing, type SourceType } from './listing.ts';
import { listS3 } from './s3.ts';

/** A field that names a source. */
interface Input extends Wanted {
  field: string;
  key: 'model' | 'adapter' | 'reference' | 'dataset' | 'evalDataset' | 'sftDataset' | number;
  type: SourceType;
  /** Whose Secret lets it in. */
  secretOf: keyof typeof secretPrefixes;
  source: string | undefined;
  digest?: string | undefined;
}

const ofModel = { type: 'model', secretOf: 'model' } as const;
const ofDataset = { type: 'dataset', secretOf: 'dataset' } as const;

/** A data set's configurations are its own: held-out pairs of another one have none by default. */
function heldOutOf(dataset: Run['job']['spec']['dataset']): Pick<Input, 'source' | 'subset' | 'split'> {
  const { source, subset, evalSource, evalSubset, evalSplit = 'test' } = dataset;
  const repository = (of = ''): string => parseHubSource(of).repository;
  const same = repository(evalSource) === repository(source);
  return { source: evalSource, subset: evalSubset ?? (same ? subset : undefined), split: evalSplit };
}

function inputsOf({ spec }: Run['job']): Input[] {
  const { model, reference, dataset, sft } = spec;
  const { source, digest, subset, split = 'train' } = dataset;
  const tuning = sft?.dataset;
  return [
    { ...ofModel, key: 'model', field: 'spec.model', source: model.source, digest: model.digest, split: '' },
    {
      key: 'adapter',
      type: 'adapter',
      secretOf: 'adapter',
      field: 'spec.model.adapter',
      source: model.adapter?.source,
      digest: model.adapter?.digest,
      split: '',
    },
    {
      key: 'reference',
      type: 'model',
      secretOf: 'reference',
      field: 'spec.reference',
      source: reference.source,
      digest: reference.digest,
      split: '',
    },
    { ...ofDataset, key: 'dataset', field: 'spec.dataset', source, digest, subset, split },
    { ...ofDataset, ...heldOutOf(dataset), key: 'evalDataset', field: 'spec.dataset.evalSource' },
    {
      key: 'sftDataset',
      type: 'dataset',
      secretOf: 'sft',
      field: 'spec.sft.dataset',
      source: tuning?.source,
      digest: tuning?.digest,
      subset: tuning?.subset,
      split: tuning?.split ?? 'train',
    },
    // A part of a mixture has its number as its key.
    ...(dataset.sources ?? []).map((part, key) => ({
      ...ofDataset,
      ...part,
      key,
      field: `spec.dataset.sources[${key}]`,
      split: part.split ?? 'train',
    })),
  ];
}

interface Listed {
  source: string;
  input: Input;
  asker: Asker;
  environment: SourceEnvironment;
  /** The Hub's commit when the job began. */
  revision: string | undefined;
}

/** How each kind of source is listed, and what lets a job in. */
const kinds = {
  hf: {
    credentials: 'HF_TOKEN of an account that may read it (and has accepted its terms)',
    list: ({ source, input, asker, environment, revision }: Listed) => {
      const parsed = parseHubSource(source);
      return listHub({ ...parsed, revision: revision ?? parsed.revision }, input, asker, environment.hub);
    },
  },
  s3: {
    credentials: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT_URL_S3)',
    list: ({ source, input, asker, environment }: Listed) => listS3(source, input.type, asker, environment.s3),
  },
  https: {
    credentials: 'HTTPS_BEARER_TOKEN',
    list: ({ source, input, asker, environment }: Listed) => listHttps(source, input.type, asker, environment),
  },
} satisfies Record<string, { credentials: string; list: (listed: Listed) => Promise<Listing> }>;

const kindOf = (source: string): (typeof kinds)[keyof typeof kinds] =>
  kinds[source.split('://')[0] as keyof typeof kinds];

/** What a job's sources were when it began: a restarted pod goes on with the same, and asks no server for what it has. */
const pinSchema = z.object({
  /** Digest of the source, subset and split that it was: a URL may hold a signature. */
  of: z.string(),
  folder: z.string(),
  revision: z.string().optional(),
  files: z.array(z.object({ path: z.string(), size: z.number().optional() })),
});
const pinsSchema = z.record(z.string(), pinSchema);
type Pin = z.infer<typeof pinSchema>;

/** Removes what fetches that were killed left behind; one that is still running writes to its file all the time. */
function removeStale(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, name);
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (name.endsWith('.partial') && age > 3_600_000) rmSync(file, { force: true });
  }
}

/** Says before the first byte that the volume has no room. */
function checkRoom(cache: string, bytes: number, { field }: Asker): void {
  const { bavail, bsize } = statfsSync(cache);
  if (bytes <= bavail * bsize) return;
  const [needed, free] = [bytes, bavail * bsize].map((each) => (each / 1e9).toFixed(2));
  const message = `${field}: ${needed} GB are to be fetched and the output's volume has ${free} GB free: enlarge it`;
  throw new TrainerError('DiskFull', message);
}

const mebi = (bytes: number): number => Math.round(bytes / 2 ** 20);

/** Brings what is missing of a listing into its folder, which jobs that write to the same claim share. */
async function fetchListing(listing: Listing, folder: string, asker: Asker, report: Reporter): Promise<void> {
  const missing = listing.files.filter(({ path, size }) => !isFetched(join(folder, path), size));
  const known = missing.reduce((sum, { size }) => sum + (size ?? 0), 0);
  if (missing.length === 0) return report.info(`${asker.field}: ${listing.what} is in the cache`);
  writing('the cache', () => mkdirSync(folder, { recursive: true }));
  removeStale(folder);
  checkRoom(folder, known, asker);
  report.info(`${asker.field}: fetching ${listing.what}, ${missing.length} files, ${mebi(known)} MiB`);
  let [bytes, told] = [0, 0];
  for (const file of missing) {
    const target = join(folder, file.path);
    writing('the cache', () => mkdirSync(dirname(target), { recursive: true }));
    await download(file, target, asker, (more) => {
      bytes += more;
      if (Date.now() - told < 500) return;
      told = Date.now();
      report.beat({ stage: 'Loading', stageStep: mebi(bytes), stageTotal: mebi(known) });
    });
  }
}

interface Fetching {
  run: Run;
  report: Reporter;
  env: NodeJS.ProcessEnv;
  pause: Asker['pause'];
}

/** Fetches one source, or finds it in the cache. `pin` is what it was when the job began. */
async function fetchSource(input: Input & { source: string }, pin: Pin | undefined, fetching: Fetching): Promise<Pin> {
  const { source, field } = input;
  const { run, report, env, pause } = fetching;
  const whole = pin?.files.every(({ path, size }) => isFetched(join(run.paths.cache, pin.folder, path), size));
  if (pin !== undefined && whole === true) return pin;
  const { credentials, list } = kindOf(source);
  const asker: Asker = {
    field,
    secretRef: secretFields[input.secretOf],
    credentials,
    job: run.job.uid,
    beat: () => report.beat(),
    heed: () => report.heed(),
    tell: (message) => report.info(message),
    pause,
  };
  const environment = sourceEnvironment(env, secretPrefixes[input.secretOf]);
  const listing = await list({ source, input, asker, environment, revision: pin?.revision });
  const folder = folderName(listing);
  if (pin !== undefined && pin.folder !== folder) {
    const message = `${field}: ${shownSource(source)} is not what it was when the job began: make a new DPOJob for the new content`;
    throw new TrainerError('CheckpointMismatch', message);
  }
  await fetchListing(listing, join(run.paths.cache, folder), asker, report);
  const files = listing.files.map(({ path, size }) => (size === undefined ? { path } : { path, size }));
  return {
    of: nameOf(input),
    folder,
    files,
    ...(listing.revision === undefined ? {} : { revision: listing.revision }),
  };
}

const nameOf = ({ source, subset, split }: Input): string =>
  createHash('sha256')
    .update(JSON.stringify([source, subset, split]))
    .digest('hex');

const pathAt = (paths: Run['paths'], key: Input['key']): string | undefined =>
  typeof key === 'number' ? paths.parts?.[key]?.path : paths[key];

function put(paths: Run['paths'], key: Input['key'], path: string): void {
  if (typeof key !== 'number') paths[key] = path;
  else if (paths.parts?.[key] !== undefined) paths.parts[key].path = path;
}

/** Where a fetched source is used: a single data file itself, else the folder. */
function pathOf(cache: string, { folder, files }: Pin, type: SourceType): string {
  const [only] = files;
  return type === 'dataset' && files.length === 1 && only ? join(cache, folder, only.path) : join(cache, folder);
}

/**
 * Brings every source of the job that is not on a claim into the cache, and checks the digests that the job gives.
 * Returns the run with all its paths. Throws TrainerError: the field, the URL and what to do.
 */
export async function fetchSources(
  run: Run,
  report: Reporter,
  env: NodeJS.ProcessEnv = process.env,
  pause: Asker['pause'] = (seconds) => waitBeating(seconds, () => report.beat()),
): Promise<Run> {
  const paths = { ...run.paths, parts: run.paths.parts?.map((part) => ({ ...part })) };
  const file = join(paths.checkpoints, 'sources.json');
  const pins = readPins(file);
  const fetching: Fetching = { run, report, env, pause };
  for (const input of inputsOf(run.job)) {
    const { source, key, type, digest, field } = input;
    if (source !== undefined && !isClaim(source)) {
      // A job run by hand may have been given another source under the same name.
      const known = pins[key]?.of === nameOf(input) ? pins[key] : undefined;
      const pin = await fetchSource({ ...input, source }, known, fetching);
      put(paths, key, pathOf(paths.cache, pin, type));
      if (known === undefined) writePins(file, Object.assign(pins, { [key]: pin }));
    }
    checkDigest({ field, path: pathAt(paths, key), type, digest }, () => report.beat());
  }
  return { ...run, paths };
}

/** By `Input.key`. The file is renamed into its place, so it is whole or not there. */
function readPins(file: string): Record<string, Pin> {
  const stored = existsSync(file) ? pinsSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
  return stored?.data ?? {};
}

function writePins(file: string, pins: Record<string, Pin>): void {
  writing('the checkpoint folder', () => {
    mkdirSync(dirname(file), { recursive: true });
    // Before the fence is taken: two pods of one job would write the same, or the first one's stands.
    writeDurably(file, JSON.stringify(pins), () => {});
  });
}
