import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import nock from 'nock';
import { specSchema, type DPOJobSpecInput } from '../../../crds/dpojob.ts';
import { resolveRun, type Run } from '../../../trainer-image/config.ts';
import { fetchSources } from '../../../trainer-image/sources/fetch.ts';

/** Whoever has a signed URL may read what it names: it must not stand in files and texts that others see. */
const signed = 'https://files.example.com/pairs.jsonl?X-Amz-Signature=secret';
const volumes = mkdtempSync(join(tmpdir(), 'signed-'));

function runOf(dataset: DPOJobSpecInput['dataset']): Run {
  mkdirSync(join(volumes, 'models', 'm'), { recursive: true });
  const spec = specSchema.parse({
    model: { source: 'pvc://models/m' },
    dataset,
    output: { source: 'pvc://models/out' },
  });
  return resolveRun({ namespace: 'n', name: 'j', uid: 'uid', attempt: 1, spec }, volumes);
}
const texts: string[] = [];
const note = (...parts: string[]): void => void texts.push(...parts);
const fetchAll = (run: Run): Promise<Run> =>
  fetchSources(run, { beat: () => {}, heed: () => {}, observe: () => {}, warn: note, info: note }, {}, () =>
    Promise.resolve(),
  );

beforeAll(() => nock.disableNetConnect());
afterAll(() => nock.restore());

test('a signature is neither in the pins of a job nor in what the run says', async () => {
  const answer = (etag: string) =>
    nock('https://files.example.com').get('/pairs.jsonl').query(true).times(2).reply(200, '{}', { etag });
  answer('"a"');
  const { paths } = await fetchAll(runOf({ source: signed }));
  expect(readFileSync(join(paths.checkpoints, 'sources.json'), 'utf8')).not.toContain('secret');
  rmSync(dirname(paths.dataset), { recursive: true });
  nock.cleanAll();
  answer('"b"');
  const failing = fetchAll(runOf({ source: signed }));
  await expect(failing).rejects.toMatchObject({
    reason: 'CheckpointMismatch',
    message: expect.stringMatching(/^spec\.dataset: https:\/\/files\.example\.com\/pairs\.jsonl is not what it was/),
  });
  nock.cleanAll();
  expect(texts.join()).toMatch(/pairs\.jsonl/);
  expect(texts.join()).not.toContain('secret');
});

test('a mixture is named in messages without its signatures', () => {
  const { paths } = runOf({ sources: [{ source: signed }, { source: 'hf://datasets/org/name@v1' }] });
  expect(paths.dataset).toBe('https://files.example.com/pairs.jsonl, hf://datasets/org/name@v1');
});
