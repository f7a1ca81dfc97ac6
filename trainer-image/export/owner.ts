import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { isClaim } from '../../crds/sources.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import { TrainerError } from '../errors.ts';

/**
 * Whose an output is: a record beside the model names the job that exported it. A job writes over its own model, or that
 * of an earlier job of its name, and over no other: neither another job's, nor that of a later job of its name (a deleted job
 * may have a trainer left on a node that is out of reach), nor one that no job has made.
 */
export const recordName = 'dpo-job.json';

const recordSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  /** When the job was made, RFC 3339 as Kubernetes writes it; not known of a job that runs without a cluster. */
  created: z.string().optional(),
});
/** The job that owns an output. */
export type Owner = z.infer<typeof recordSchema>;

/** What the record of a job holds. */
export const recordOf = ({ namespace, name, uid, created }: Owner): string =>
  `${JSON.stringify({ namespace, name, uid, created }, null, 2)}\n`;

/** Files that only a model's folder, or a report, has. */
const modelFile =
  /^((adapter_)?config[.]json|tokenizer([.]json|_config[.]json|[.]model)|report[.]html|.*[.](safetensors|bin|gguf|pt|pth|onnx|h5)([.]index[.]json)?)$/;

function ownerOf(record: string | undefined): Owner | undefined {
  if (record === undefined) return undefined;
  try {
    return recordSchema.safeParse(JSON.parse(record)).data;
  } catch {
    return undefined;
  }
}

const isNamedAs = (owner: Owner | undefined, job: Owner): boolean =>
  owner?.namespace === job.namespace && owner.name === job.name;

/** Times of one form, to the second: their order is that of their letters. */
const isLater = (owner: Owner | undefined, job: Owner): boolean =>
  isNamedAs(owner, job) && (owner?.created ?? '') > (job.created ?? owner?.created ?? '');

function isOwn(source: string, owner: Owner | undefined, job: Owner): boolean {
  // Who applies a manifest again after deleting the job, under the same name, means to replace what it made. Not in a bucket:
  // another cluster may have a job of that name, and its model would be lost; a claim is of one cluster, the Hub keeps it.
  const anew = isNamedAs(owner, job) && !isLater(owner, job) && !source.startsWith('s3://');
  return owner?.uid === job.uid || anew;
}

/**
 * Why the job must not write to an output, or undefined when it may. Pure: for any place that can be listed and read.
 * `names`: of the files there; `record`: the text of `recordName`, where it is there; `source`: the output, for the message.
 */
export function occupiedBy(
  source: string,
  { names, record }: { names: readonly string[]; record: string | undefined },
  job: Owner,
): string | undefined {
  const owner = ownerOf(record);
  // Where files come one by one from afar, the record alone says that they are on their way.
  // A later job's record alone says so everywhere: its files are about to come.
  const afar = !isClaim(source);
  const taken = owner !== undefined && (afar || isLater(owner, job)) ? recordName : undefined;
  const found = names.find((name) => modelFile.test(name)) ?? taken;
  if (found === undefined || isOwn(source, owner, job)) return undefined;
  const advice = 'name another path in spec.output.source, or remove what is there';
  if (owner === undefined)
    return `spec.output.source: ${source} holds ${found} and no ${recordName}, so no DPOJob has made it: ${advice}`;
  const what = found === recordName ? 'the record' : 'the model';
  const which = isLater(owner, job) ? 'later DPOJob' : 'DPOJob';
  return `spec.output.source: ${source} holds ${what} of the ${which} ${owner.namespace}/${owner.name} (uid ${owner.uid}): ${advice}`;
}

/** An output on a volume. */
export interface OutputFolder {
  source: string;
  folder: string;
}

/** Throws InvalidConfiguration when the folder holds a model that is not the job's. */
export function checkOwner({ source, folder }: OutputFolder, job: Owner): void {
  if (!existsSync(folder)) return;
  const file = join(folder, recordName);
  const record = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  const message = occupiedBy(source, { names: readdirSync(folder), record }, job);
  if (message !== undefined) throw new TrainerError('InvalidConfiguration', message);
}

/**
 * Makes the folder the job's before anything is put into it, so that an export that was interrupted goes on. `mayCommit` as
 * for exportModel. Throws InvalidConfiguration when a job of another name has taken it meanwhile, DiskFull.
 */
export function takeOutput(output: OutputFolder, job: Owner, mayCommit: () => void): void {
  checkOwner(output, job);
  writing('the output', () => {
    mkdirSync(output.folder, { recursive: true });
    writeDurably(join(output.folder, recordName), recordOf(job), mayCommit);
  });
}
