import { createHash } from 'node:crypto';
import { dataFile } from '../../crds/sources.ts';
import { TrainerError } from '../errors.ts';
import { adapterFiles } from '../model/weights.ts';
import type { Ask, Asker } from './http.ts';

/** A file as its server lists it, before it is fetched. */
export interface RemoteFile {
  /** Relative path in the folder that it is put into. */
  path: string;
  ask: Ask;
  size?: number | undefined;
  /** What changes when the content does: a digest, an ETag. */
  version: string;
  /** Of the content that was listed, as in the header. */
  etag?: string | undefined;
  /** Digests that the server tells: the content's SHA-256, or git's SHA-1 of it as a blob. */
  sha256?: string | undefined;
  gitSha1?: string | undefined;
}

/** All files of a source as they stand at one moment. */
export interface Listing {
  /** Where they come from; with the versions it makes the name of the folder in the cache. */
  origin: string;
  /** For people: "model org/name at commit 1234567". */
  what: string;
  /** Names the same content on a later day, where the server can: the Hub's commit. */
  revision?: string | undefined;
  files: RemoteFile[];
}

/** Refuses a path, as a server lists it, that would leave its folder. */
export function checkPath(path: string, { field }: Asker): string {
  const parts = path.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\0]/.test(path);
  if (!bad) return path;
  throw new TrainerError('InvalidConfiguration', `${field}: the server lists a file with the path '${path}'`);
}

/** Name of a listing's folder: the same for the same content from the same place, whoever computes it. */
export function folderName({ origin, files }: Listing): string {
  const parts = files.map(({ path, size, version }) => JSON.stringify([path, size ?? null, version])).sort();
  return createHash('sha256')
    .update(JSON.stringify([origin, parts]))
    .digest('hex')
    .slice(0, 40);
}

/** What lies at a source: a model's folder, PEFT's folder of an adapter, or rows. */
export type SourceType = 'model' | 'adapter' | 'dataset';

/** Whether a file holds rows. */
export const isDataFile = (path: string): boolean => dataFile.test(path);

/** Which of the files there are needed: of a model settings, tokenizer, template and safetensors, not other formats. */
export const isWanted = {
  model: (path) => /^(?:[^/]+\.(?:json|jinja)|model[^/]*\.safetensors)$/.test(path),
  adapter: (path) => (Object.values(adapterFiles) as string[]).includes(path),
  dataset: isDataFile,
} satisfies Record<SourceType, (path: string) => boolean>;
