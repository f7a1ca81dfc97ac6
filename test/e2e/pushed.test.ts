import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { AwsClient } from 'aws4fetch';
import { s3Keys, startS3 } from '../cluster/s3.ts';
import { pythonPackages } from '../python/install.ts';
import { job, prepare, trainer } from '../trainer-image/small-run.ts';
import type { HubServer } from '../trainer-image/sources/hub-repositories.ts';
import { startHub } from '../trainer-image/sources/hub-server.ts';

/** `npm run train` whose model is pushed: to the stand-in for the Hub, which is held to huggingface_hub, and to a real S3. */
jest.setTimeout(300_000);
let hub: HubServer;
beforeAll(async () => {
  hub = await startHub({});
});
afterAll(() => hub.stop());

/** What `hub.py` prints; not spawnSync: the Hub answers from this process. */
async function python(args: string[]): Promise<string> {
  const env = {
    ...process.env,
    PYTHONPATH: pythonPackages(),
    HF_ENDPOINT: hub.endpoint,
    HF_TOKEN: hub.writes.token,
    HF_HOME: mkdtempSync(join(tmpdir(), 'hub-')),
    // Without Xet it pushes by git LFS, as the trainer does.
    HF_HUB_DISABLE_XET: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    CUDA_VISIBLE_DEVICES: '',
  };
  const child = spawn('python3', args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (printed += String(piece)));
  child.stderr.on('data', (piece: Buffer) => (said += String(piece)));
  const code = await new Promise((ended) => child.on('close', ended));
  if (code !== 0) throw new Error(`python3 ended with ${String(code)}: ${said.slice(-2000)}`);
  return printed.trim().split('\n').at(-1) as string;
}

const outputOf = (volumes: string): string => join(volumes, 'small-work', 'output');

test('a model pushed to the Hub is opened from there by transformers, and huggingface_hub pushes to the same server', async () => {
  const volumes = prepare(job.replace('pvc://models/out', 'hf://org/tuned@trained'));
  const env = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: hub.writes.token };
  const { code, output } = await trainer(volumes, undefined, { env });
  if (code !== 0) throw new Error(output);
  expect(output).toMatch(/pushed to hf:\/\/org\/tuned@trained: commit [0-9a-f]{7}/);
  const told = await python(['test/python/hub.py', 'org/tuned@trained', outputOf(volumes), 'org/theirs']);
  const { problems, same, fetched, local } = JSON.parse(told) as Record<string, Record<string, string>>;
  expect([problems, same]).toEqual([{}, true]);
  expect(fetched).toEqual(local);
  expect(hub.writes.commits.map(({ repository }) => repository)).toEqual([
    'models/org/tuned@trained',
    'models/org/theirs@copy',
  ]);
});

test('a model pushed to S3 is there bit for bit, and another run of the job that is finished ends well', async () => {
  const server = await startS3();
  try {
    const env = { AWS_ENDPOINT_URL_S3: server.endpoint, ...s3Keys };
    const volumes = prepare(job.replace('pvc://models/out', 's3://bucket/tuned'));
    for (const run of ['first', 'again']) {
      const { code, output } = await trainer(volumes, undefined, { env });
      if (code !== 0) throw new Error(`${run}: ${output}`);
      expect(output).toMatch(/pushed to s3:\/\/bucket\/tuned/);
    }
    const [accessKeyId, secretAccessKey] = [s3Keys.AWS_ACCESS_KEY_ID, s3Keys.AWS_SECRET_ACCESS_KEY];
    const client = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'us-east-1' });
    const names = readdirSync(outputOf(volumes));
    expect(names).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'report.html', 'dpo-job.json']));
    for (const name of names) {
      const answer = await client.fetch(`${server.endpoint}/bucket/tuned/${name}`);
      const there = Buffer.from(await answer.arrayBuffer());
      expect([name, there.equals(readFileSync(join(outputOf(volumes), name)))]).toEqual([name, true]);
    }
  } finally {
    server.stop();
  }
});
