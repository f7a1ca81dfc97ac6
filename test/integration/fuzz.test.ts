import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { assert, asyncProperty } from 'fast-check';
import { specSchema } from '../../crds/dpojob.ts';
import { runConfigMap } from '../../operator/desired/run-config.ts';
import { trainerJob } from '../../operator/desired/trainer-job.ts';
import { jobsOwnClaim } from '../../operator/desired/work-claim.ts';
import { images } from '../operator/observed.ts';
import { anySpec, varied } from './any-spec.ts';
import { DryRun } from './dry-run.ts';

/** Two readers of one schema: what the API server stores the trainer must read, and what it reads can be stored. */
jest.setTimeout(300_000);
const samples = Number(process.env['DPO_FUZZ'] ?? 400);
let server: DryRun;

beforeAll(async () => {
  server = await DryRun.open();
});
afterAll(async () => {
  await server?.close();
});

test('whatever the schema accepts the API server accepts, with the same defaults, and the other way round', async () => {
  expect(varied).toBeGreaterThan(120);
  const seen = { taken: 0, refused: 0 };
  await assert(
    asyncProperty(anySpec, async (spec) => {
      const parsed = specSchema.safeParse(spec);
      const { status, message, object } = await server.apply(spec);
      const why = parsed.success ? message : JSON.stringify(parsed.error.issues);
      expect([status === 201, why]).toEqual([parsed.success, why]);
      if (parsed.success) expect(specSchema.parse(object.spec)).toEqual(parsed.data);
      seen[parsed.success ? 'taken' : 'refused'] += 1;
    }),
    { numRuns: samples },
  );
  // Neither side is all there is.
  expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(samples / 10);
});

test('children that are built from whatever was accepted are accepted', async () => {
  let children = 0;
  await assert(
    asyncProperty(anySpec, async (spec) => {
      const { status, object: job } = await server.apply(spec);
      if (status !== 201) return;
      const claim = jobsOwnClaim(job);
      const made = [
        await server.create('configMaps', runConfigMap(job, 1)),
        ...(claim === undefined ? [] : [await server.create('claims', claim)]),
        await server.create('jobs', trainerJob(job, 1, images)),
      ];
      expect(made.filter((one) => one.status !== 201).map(({ message }) => message)).toEqual([]);
      children += made.length;
    }),
    { numRuns: samples },
  );
  expect(children).toBeGreaterThan(samples / 5);
});
