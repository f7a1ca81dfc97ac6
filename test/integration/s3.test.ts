import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AwsClient } from 'aws4fetch';
import { specSchema, type DPOJobSpecInput } from '../../crds/dpojob.ts';
import { resolveRun, type Run } from '../../trainer-image/config.ts';
import { fetchSources } from '../../trainer-image/sources/fetch.ts';
import type { Reporter } from '../../trainer-image/stages/context.ts';
import { s3Keys, startS3 } from '../cluster/s3.ts';

/** A real S3 server, which checks every request's signature. */
let server: Awaited<ReturnType<typeof startS3>>;
const client = new AwsClient({
  accessKeyId: s3Keys.AWS_ACCESS_KEY_ID,
  secretAccessKey: s3Keys.AWS_SECRET_ACCESS_KEY,
  service: 's3',
  region: 'eu-central-1',
});
const weights = Buffer.alloc(3_000_000, 'weights');
const objects: Record<string, string | Buffer> = {
  'models/my tiny+model/config.json': '{}',
  'models/my tiny+model/tokenizer.json': '{}',
  'models/my tiny+model/model.safetensors': weights,
  'models/my tiny+model/optimizer.bin': 'never fetched',
  'models/my tiny+model2/config.json': 'of another',
  'data/a=1/pairs.jsonl': '{}',
  ...Object.fromEntries(Array.from({ length: 1100 }, (_, i) => [`data/shards/${i}.jsonl`, String(i)])),
};
beforeAll(async () => {
  server = await startS3();
  for (const [key, body] of Object.entries(objects)) {
    const url = `${server.endpoint}/bucket/${key.split('/').map(encodeURIComponent).join('/')}`;
    const { status } = await client.fetch(url, { method: 'PUT', body: new Uint8Array(Buffer.from(body)) });
    expect(status).toBe(200);
  }
}, 60_000);
afterAll(() => server.stop());

const report: Reporter = { beat: () => {}, heed: () => {}, observe: () => {}, warn: () => {}, info: () => {} };
const volumes = mkdtempSync(join(tmpdir(), 's3-'));

function runOf(changes: Partial<DPOJobSpecInput>, uid = 'uid'): Run {
  const spec = specSchema.parse({
    model: { source: 's3://bucket/models/my tiny+model' },
    dataset: { source: 's3://bucket/data/a=1/pairs.jsonl' },
    output: { source: 'pvc://models/out' },
    ...changes,
  });
  return resolveRun({ namespace: 'n', name: 'j', uid, attempt: 1, spec }, volumes);
}
const fetchAll = (run: Run, env: NodeJS.ProcessEnv = {}): Promise<Run> => {
  const all = { AWS_ENDPOINT_URL_S3: server.endpoint, AWS_REGION: 'eu-central-1', ...s3Keys, ...env };
  return fetchSources(run, report, all, () => Promise.resolve());
};

describe('sources on S3', () => {
  test('are fetched with signed requests: a model as a folder, a file of data', async () => {
    const { paths } = await fetchAll(runOf({}));
    expect(readdirSync(paths.model).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(paths.model, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readFileSync(join(paths.model, 'config.json'), 'utf8')).toBe('{}');
    expect(readFileSync(paths.dataset, 'utf8')).toBe('{}');
  });

  test('with more objects than one answer lists are all found', async () => {
    const { paths } = await fetchAll(runOf({ dataset: { source: 's3://bucket/data/shards/' } }, 'shards'));
    expect(readdirSync(paths.dataset)).toHaveLength(1100);
    expect(readFileSync(join(paths.dataset, '1099.jsonl'), 'utf8')).toBe('1099');
  }, 60_000);

  test.each<[string, NodeJS.ProcessEnv, RegExp]>([
    [
      'a wrong key',
      { AWS_SECRET_ACCESS_KEY: 'wrong' },
      /^spec\.model: http:.*answered 403.*spec\.model\.secretRef .*AWS_ACCESS_KEY_ID/,
    ],
    ['no key', { AWS_SECRET_ACCESS_KEY: '' }, /^spec\.model: .*answered 403/],
  ])('are refused with %s, and the message says what to set', async (_, env, message) => {
    await expect(fetchAll(runOf({}, 'refused'), env)).rejects.toThrow(message);
  });

  test.each([
    ['no object', { dataset: { source: 's3://bucket/data/none.jsonl' } }, /no file of a dataset lies at s3:\/\/bucket/],
    ['no bucket', { dataset: { source: 's3://none-such/data.jsonl' } }, /spec\.dataset: .*(answered 404|no file)/],
  ])('with %s are refused with the field', async (_, changes, message) => {
    await expect(fetchAll(runOf(changes, 'none'))).rejects.toThrow(message);
  });

  test('that changed since the job began stop it', async () => {
    const job = runOf({ dataset: { source: 's3://bucket/data/a=1/pairs.jsonl' } }, 'changing');
    const { paths } = await fetchAll(job);
    await client.fetch(`${server.endpoint}/bucket/data/a%3D1/pairs.jsonl`, { method: 'PUT', body: 'changed' });
    expect((await fetchAll(job)).paths.dataset).toBe(paths.dataset);
    rmSync(paths.dataset);
    await expect(fetchAll(job)).rejects.toMatchObject({ reason: 'CheckpointMismatch' });
  });
});
