import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { fileDigest } from '../checkpoint/store.ts';
import { TrainerError } from '../errors.ts';
import { filesBelow, kindOf } from '../files-below.ts';
import { isDataFile, type SourceType } from './listing.ts';

/** Files below a folder in the order of their paths, or the file itself. */
function coveredFiles(path: string, isCovered: (name: string) => boolean): { name: string; file: string }[] {
  if (kindOf(path) !== 'folder') return [{ name: basename(path), file: path }];
  const names = filesBelow(path).filter(isCovered);
  return names.map((name) => ({ name, file: join(path, name) }));
}

const isWeights = (name: string): boolean => /^[^/]+\.safetensors$/.test(name);
const covered: Record<SourceType, (name: string) => boolean> = {
  model: isWeights,
  adapter: isWeights,
  dataset: isDataFile,
};

/** sha256 of the one file; of several, that of what `sha256sum` prints of them in the order of their names. */
export function contentDigest(path: string, type: SourceType, beat: () => void = () => {}): string {
  const lines = coveredFiles(path, covered[type]).map(({ name, file }) => {
    return { name, sha256: fileDigest(file, beat) };
  });
  const [first] = lines;
  if (first !== undefined && lines.length === 1) return `sha256:${first.sha256}`;
  const text = lines.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Throws InvalidConfiguration or InvalidData when the content is not what the job was written for. */
export function checkDigest(
  {
    field,
    path,
    type,
    digest,
  }: { field: string; path: string | undefined; type: SourceType; digest: string | undefined },
  beat: () => void,
): void {
  if (digest === undefined || path === undefined) return;
  const found = contentDigest(path, type, beat);
  if (found === digest) return;
  const message = `${field}.digest is ${digest} and ${path} has ${found}: it is not what the job was written for`;
  throw new TrainerError(type === 'dataset' ? 'InvalidData' : 'InvalidConfiguration', message);
}
