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

  test('are taken without the end of the line that a file of a Secret has', () => {
    const env = { OUTPUT_HF_TOKEN: 'hf_token\n', HTTPS_BEARER_TOKEN: 'token\r\n', OUTPUT_AWS_ACCESS_KEY_ID: '\n' };
    const { hub, bearerToken, s3 } = sourceEnvironment(env, 'OUTPUT_');
    expect([hub.token, bearerToken, s3.accessKeyId]).toEqual(['hf_token', 'token', undefined]);
  });

  test.each<[string, NodeJS.ProcessEnv, string]>([
    ['a second line', { OUTPUT_HF_TOKEN: 'hf_SECRET\nhf_other' }, 'spec.output.secretRef: its key HF_TOKEN'],
    ['a control character', { HTTPS_BEARER_TOKEN: 'SECRET\u0007' }, 'spec.pod.env: HTTPS_BEARER_TOKEN'],
    ['a letter beyond Latin-1', { HF_TOKEN: 'SECRET\u0142' }, 'spec.pod.env: HF_TOKEN'],
    [
      'a line break in the token of a session',
      { OUTPUT_AWS_ACCESS_KEY_ID: 'id', OUTPUT_AWS_SESSION_TOKEN: 'SECRET\nmore' },
      'spec.output.secretRef: its key AWS_SESSION_TOKEN',
    ],
  ])('with %s are refused by their name, and never told', (_, env, place) => {
    let thrown: unknown;
    try {
      sourceEnvironment(env, 'OUTPUT_');
    } catch (error) {
      thrown = error;
    }
    const message = `${place} holds a line break or another character that no request can carry: it must be one line of plain text`;
    expect(thrown).toMatchObject({ reason: 'InvalidConfiguration', message });
  });
});
