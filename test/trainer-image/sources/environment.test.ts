import { describe, expect, test } from '@jest/globals';
import { sourceEnvironment } from '../../../trainer-image/sources/environment.ts';

describe("a source's credentials", () => {
  test('are those of its own Secret, else those of pod.env, never those of another source', () => {
    const env = { MODEL_HTTPS_BEARER_TOKEN: 'model', DATASET_HF_TOKEN: 'data', HF_TOKEN: 'all' };
    const found = (['MODEL_', 'DATASET_', 'SFT_'] as const).map((prefix) => {
      const { bearerToken, hub } = sourceEnvironment(env, prefix);
      return [bearerToken, hub.token];
    });
    expect(found).toEqual([
      ['model', 'all'],
      [undefined, 'data'],
      [undefined, 'all'],
    ]);
  });

  test('of S3 are taken together: a session of pod.env does not go with the keys of a Secret', () => {
    const env = {
      AWS_ACCESS_KEY_ID: 'pod',
      AWS_SECRET_ACCESS_KEY: 'pod secret',
      AWS_SESSION_TOKEN: 'pod session',
      AWS_REGION: 'eu-west-1',
      DATASET_AWS_ACCESS_KEY_ID: 'data',
      DATASET_AWS_SECRET_ACCESS_KEY: 'data secret',
    };
    expect(sourceEnvironment(env, 'DATASET_').s3).toMatchObject({
      region: 'eu-west-1',
      accessKeyId: 'data',
      secretAccessKey: 'data secret',
      sessionToken: undefined,
    });
    expect(sourceEnvironment(env, 'MODEL_').s3).toMatchObject({ accessKeyId: 'pod', sessionToken: 'pod session' });
  });
});
