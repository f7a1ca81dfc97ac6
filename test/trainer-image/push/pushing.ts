import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { specSchema, type DPOJobSpecInput } from '../../../crds/dpojob.ts';
import type { Fence } from '../../../trainer-image/checkpoint/fence.ts';
import { resolveRun, type Run } from '../../../trainer-image/config.ts';
import { recordName, recordOf } from '../../../trainer-image/export/owner.ts';
import { checkPush, pushOutput, type Edge } from '../../../trainer-image/push/push.ts';
import { listen, type Heard } from '../heard.ts';

/** A model's folder that is pushed, without a run that trains it. */
export const exportedModel: Record<string, string | Buffer> = {
  'config.json': '{"model_type":"llama"}',
  'tokenizer.json': '{}',
  'report.html': '<html></html>',
  // Three parts of what the stand-in for the Hub takes at once, and of S3's least.
  'model.safetensors': Buffer.alloc(250_000, 'weights'),
};

const made: string[] = [];
/** Removes the volumes of all jobs that were made here: afterAll. */
export const removeVolumes = (): void => made.splice(0).forEach((each) => rmSync(each, { recursive: true }));

/** A job that pushes, with its exported folder. */
export function pushingJob(
  output: DPOJobSpecInput['output'],
  {
    files = exportedModel,
    name = 'mine',
    rest = {},
  }: { files?: typeof exportedModel; name?: string; rest?: object } = {},
): Run {
  const volumes = mkdtempSync(join(tmpdir(), 'push-'));
  made.push(volumes);
  mkdirSync(join(volumes, 'models', 'm'), { recursive: true });
  writeFileSync(join(volumes, 'd.jsonl'), '{}');
  const model = { source: 'pvc://models/m' };
  const spec = specSchema.parse({ model, dataset: { source: 'pvc://d.jsonl' }, output, ...rest });
  const run = resolveRun({ namespace: 'team', name, uid: name, attempt: 1, spec }, volumes);
  writeFolder(run, files);
  return run;
}

/** The exported folder with other files. */
export function writeFolder({ paths, job }: Run, files: typeof exportedModel): void {
  rmSync(paths.output, { recursive: true, force: true });
  mkdirSync(paths.output, { recursive: true });
  writeFileSync(join(paths.output, recordName), recordOf(job));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(paths.output, file), content);
}

export const unfenced: Fence = { generation: 1, check: (): void => {} };
const at = { step: 9, totalSteps: 9 };

/** Checks and pushes as a run does at its start and its end. */
export async function pushAll(
  run: Run,
  { heard = listen(), fence = unfenced, ...edge }: Edge & { heard?: Heard; fence?: Fence },
): Promise<Heard> {
  edge = { pause: () => Promise.resolve(), ...edge };
  await checkPush(run, heard, edge);
  await pushOutput({ run, report: heard, fence }, at, edge);
  return heard;
}
