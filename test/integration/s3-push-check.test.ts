import { describe, expect, test } from '@jest/globals';
import { recordOf } from '../../trainer-image/export/owner.ts';
import { checkPush } from '../../trainer-image/push/push.ts';
import { listen } from '../trainer-image/heard.ts';
import { pushAll, pushingJob } from '../trainer-image/push/pushing.ts';
import { S3Place } from './s3-place.ts';

const place = S3Place.forTests();

describe('before training begins it is told', () => {
  const check = (changes: NodeJS.ProcessEnv, to = place.source): Promise<void> =>
    checkPush(pushingJob({ source: to }), listen(), { ...place.env(changes), pause: () => Promise.resolve() });
  test.each<[string, NodeJS.ProcessEnv, string | undefined, RegExp]>([
    [
      'without keys',
      { OUTPUT_AWS_ACCESS_KEY_ID: '' },
      undefined,
      /cannot be written without keys: set spec\.output\.secretRef to a Secret with AWS_ACCESS_KEY_ID/,
    ],
    [
      'with a wrong key',
      { OUTPUT_AWS_SECRET_ACCESS_KEY: 'wrong' },
      undefined,
      /answered 403 .*they may not write it: spec\.output\.secretRef/,
    ],
    ['without a bucket', {}, 's3://no-such-bucket/m', /no-such-bucket.*answered 404 .*check the name/],
  ])('%s', async (_, changes, to, message) => {
    await expect(check(changes, to)).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await expect(check(changes, to)).rejects.toThrow(message);
  });

  test('with a key that may put objects, and not delete them', async () => {
    place.proxy.fails = (asked) => (asked.startsWith('DELETE') && !asked.includes('uploadId') ? 403 : undefined);
    await expect(check({})).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await expect(check({})).rejects.toThrow(
      /dpo-write-check answered 403.*spec\.output\.secretRef names a Secret with AWS_ACCESS_KEY_ID.*s3:DeleteObject/,
    );
  });

  test('where something else has written a model, and that stays', async () => {
    await place.put('config.json');
    await expect(check({})).rejects.toThrow(
      /holds config\.json and no dpo-job\.json, so no DPOJob has made it: name another path/,
    );
    expect(await place.textOf('config.json')).toBe('of someone');
  });

  test('where another job pushes its model, which is not there yet', async () => {
    const body = recordOf({ namespace: 'team', name: 'other', uid: 'other' });
    await place.put('dpo-job.json', body);
    await expect(check({})).rejects.toThrow(/holds the record of the DPOJob team\/other/);
  });

  test('where another job has written its model', async () => {
    await pushAll(pushingJob({ source: place.source }, { name: 'first' }), place.env());
    await expect(check({})).rejects.toThrow(/holds the model of the DPOJob team\/first/);
  });

  test('and nothing is left there where all is well', async () => {
    await check({});
    expect(
      [await place.uploadsLeft(), await place.textOf('dpo-write-check')]
        .flat()
        .filter((left) => left?.includes('check')),
    ).toEqual([]);
  });
});
