import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { secretPrefixes, type RunConfig } from '../../crds/run-config.ts';
import { writeDurably, writing } from '../checkpoint/durable.ts';
import type { Fence } from '../checkpoint/fence.ts';
import type { Run } from '../config.ts';
import { secretFields, sourceEnvironment, type SourceEnvironment } from '../sources/environment.ts';
import { waitBeating, type Asker } from '../sources/http.ts';
import type { At } from '../stages/export.ts';
import type { Reporter } from '../stages/context.ts';
import { HubTarget } from './hub.ts';
import { S3Target } from './s3.ts';
import { filesOf, type Target } from './target.ts';

/** Where `output.source` may push to, and what lets a job in. */
const kinds = {
  hf: {
    credentials: 'HF_TOKEN of an account that may write to it',
    target: (job: RunConfig, asker: Asker, { hub }: SourceEnvironment): Target => new HubTarget(job, asker, hub),
  },
  s3: {
    credentials: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT_URL_S3)',
    target: (job: RunConfig, asker: Asker, { s3 }: SourceEnvironment): Target => new S3Target(job, asker, s3),
  },
};

/** What a push needs of its surroundings. */
export interface Edge {
  env: NodeJS.ProcessEnv;
  pause?: Asker['pause'];
  patience?: Asker['patience'];
}

/** There once a push was let in: what is refused later may be let in again, with a Secret that was renewed. */
const letInFile = ({ paths }: Run): string => join(paths.checkpoints, 'push-was-let-in');

function noteLetIn(run: Run): void {
  writing('the checkpoint folder', () => {
    mkdirSync(run.paths.checkpoints, { recursive: true });
    writeDurably(letInFile(run), '', () => {});
  });
}

/** Undefined where the output is on a claim. */
function targetOf(run: Run, report: Reporter, { env, pause, patience }: Edge): Target | undefined {
  const { job } = run;
  const kind = kinds[job.spec.output.source.split('://')[0] as keyof typeof kinds] as (typeof kinds)['hf'] | undefined;
  const beat = (): void => report.beat();
  const asker = {
    field: 'spec.output',
    secretRef: secretFields.output,
    credentials: kind?.credentials ?? '',
    writes: true,
    wasLetIn: existsSync(letInFile(run)),
    job: job.uid,
    beat,
    heed: () => report.heed(),
    patience,
    tell: (message: string) => report.info(message),
    pause: pause ?? ((seconds: number) => waitBeating(seconds, beat)),
  };
  return kind?.target(job, asker, sourceEnvironment(env, secretPrefixes.output));
}

/**
 * Whether the model could be pushed, asked before any training. Throws as a push would; but what lets nobody in is
 * InvalidConfiguration only as long as it has not let the job in before.
 */
export async function checkPush(run: Run, report: Reporter, edge: Edge = { env: process.env }): Promise<void> {
  const target = targetOf(run, report, edge);
  if (target === undefined) return;
  await target.check();
  noteLetIn(run);
}

const mebi = (bytes: number): number => Math.round(bytes / 2 ** 20);

/**
 * Pushes the exported folder to where `output.source` says; one on a claim is there already. What an earlier push has
 * brought there stays. Throws InvalidConfiguration, DiskFull, SourceUnavailable, Fenced.
 */
export async function pushOutput(
  { run, report, fence }: { run: Run; report: Reporter; fence: Fence },
  at: At,
  edge: Edge = { env: process.env },
): Promise<void> {
  const target = targetOf(run, report, edge);
  if (target === undefined) return;
  const { source } = run.job.spec.output;
  const files = filesOf(run.paths.output, () => report.beat());
  const total = files.reduce((sum, { size }) => sum + size, 0);
  report.info(`pushing ${files.length} files, ${mebi(total)} MiB, to ${source}`);
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    report.beat({ stage: 'Exporting', ...at, stageStep: mebi(done), stageTotal: mebi(total) });
  };
  const told = await target.push(files, { mayCommit: () => fence.check(), onBytes });
  report.info(`pushed to ${source}: ${told}`);
}
