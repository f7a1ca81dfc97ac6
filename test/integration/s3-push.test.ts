import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { AwsClient } from 'aws4fetch';
import { recordOf } from '../../trainer-image/export/owner.ts';
import { checkPush } from '../../trainer-image/push/push.ts';
import { fetchSources } from '../../trainer-image/sources/fetch.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { s3Keys, startS3 } from '../cluster/s3.ts';
import { listen } from '../trainer-image/heard.ts';
import { exportedModel, pushAll, pushingJob, removeVolumes, writeFolder } from '../trainer-image/push/pushing.ts';
import { lateSeconds, startProxy, type Proxy } from './s3-proxy.ts';

jest.setTimeout(60_000);
/** A real S3 server, which checks every request's signature; each test has a prefix. */
let server: Awaited<ReturnType<typeof startS3>>;
let proxy: Proxy;
beforeAll(async () => {
  server = await startS3();
  proxy = await startProxy(server.endpoint);
}, 60_000);
afterAll(() => {
  proxy.stop();
  server.stop();
  removeVolumes();
});
let number = 0;
let source: string;
beforeEach(() => {
  number++;
  source = `s3://bucket/models/my model ${number}`;
  Object.assign(proxy, {
    asked: [],
    asks: async () => {},
    fails: () => undefined,
    says: '',
    mistreats: () => undefined,
  });
});

const env = (more: NodeJS.ProcessEnv = {}): { env: NodeJS.ProcessEnv } => ({
  env: {
    OUTPUT_AWS_ENDPOINT_URL_S3: proxy.endpoint,
    OUTPUT_AWS_REGION: 'eu-central-1',
    ...Object.fromEntries(Object.entries(s3Keys).map(([name, key]) => [`OUTPUT_${name}`, key])),
    ...more,
  },
});
const client = new AwsClient({
  accessKeyId: s3Keys.AWS_ACCESS_KEY_ID,
  secretAccessKey: s3Keys.AWS_SECRET_ACCESS_KEY,
  service: 's3',
  region: 'eu-central-1',
});
const urlOf = (name: string): string => `${server.endpoint}/bucket/models/my%20model%20${number}/${name}`;
const textOf = async (name: string): Promise<string | undefined> => {
  const response = await client.fetch(urlOf(name));
  return response.ok ? response.text() : undefined;
};
const put = async (name: string): Promise<unknown> => client.fetch(urlOf(name), { method: 'PUT', body: 'of someone' });
const uploadsLeft = async (): Promise<string[]> => {
  const text = await (await client.fetch(`${server.endpoint}/bucket?uploads=`)).text();
  return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
};
/** Of an upload in parts. */
const isEnd = (asked: string): boolean => asked.startsWith('POST') && asked.includes('uploadId');
/** "PUT model.safetensors", in the order they were done. */
const writes = (): string[] =>
  proxy.asked
    .filter((asked) => /^(PUT|DELETE)/.test(asked) && !asked.includes('dpo-write-check'))
    .map((asked) => asked.replace(/ .*\//, ' ').replace(/[?&]uploadId.*$/, ''));

/** 20 MB: two parts of 8 MiB and one shorter. */
const large = Buffer.alloc(20_000_000, 'a large file');
const files = { ...exportedModel, 'model.safetensors': large };

describe('a model that is pushed to S3', () => {
  test('is there whole, a large file in parts, and config.json last', async () => {
    await pushAll(pushingJob({ source }, { files }), env());
    expect(writes()).toEqual([
      'PUT dpo-job.json',
      'PUT model.safetensors?partNumber=1',
      'PUT model.safetensors?partNumber=2',
      'PUT model.safetensors?partNumber=3',
      'PUT tokenizer.json',
      'PUT report.html',
      'PUT config.json',
    ]);
    expect(await uploadsLeft()).toEqual([]);
  });

  test('can be read by a job from there', async () => {
    await pushAll(pushingJob({ source }, { files }), env());
    const rest = { model: { source } };
    const reader = pushingJob({ source: 'pvc://o/o' }, { rest });
    const keys = { ...s3Keys, AWS_ENDPOINT_URL_S3: server.endpoint, AWS_REGION: 'eu-central-1' };
    const { paths } = await fetchSources(reader, listen(), keys);
    expect(readFileSync(join(paths.model, 'model.safetensors')).equals(large)).toBe(true);
    expect(readFileSync(join(paths.model, 'config.json'), 'utf8')).toBe(exportedModel['config.json']);
  });

  test('of the same job is replaced: without config.json until the new one is whole', async () => {
    const adapter = { 'adapter_model.safetensors': 'a', 'adapter_config.json': '{}', 'tokenizer.json': '{}' };
    await pushAll(pushingJob({ source }, { files: adapter }), env());
    await put('notes.txt');
    proxy.asked = [];
    await pushAll(pushingJob({ source }), env());
    expect(writes()).toEqual([
      'DELETE adapter_config.json',
      'DELETE adapter_model.safetensors',
      'PUT model.safetensors',
      'PUT report.html',
      'PUT config.json',
    ]);
    expect(await textOf('notes.txt')).toBe('of someone');
  });

  test('again, all of it being there, sends nothing', async () => {
    const run = pushingJob({ source });
    await pushAll(run, env());
    proxy.asked = [];
    const heard = await pushAll(run, env());
    expect(writes()).toEqual([]);
    expect(heard.infos.at(-1)).toMatch(/: all of it was there$/);
  });

  test('again, with another report, is no model while it is sent', async () => {
    const run = pushingJob({ source });
    await pushAll(run, env());
    writeFolder(run, { ...exportedModel, 'report.html': 'later' });
    proxy.asked = [];
    await pushAll(run, env());
    expect(writes()).toEqual(['DELETE config.json', 'PUT report.html', 'PUT config.json']);
  });
});

describe('a push to S3', () => {
  test('goes on where the wire broke or the server had trouble', async () => {
    const failures = [0, 503, 500];
    proxy.fails = (asked) => (asked.includes('partNumber=2') ? failures.shift() : undefined);
    await pushAll(pushingJob({ source }, { files }), env());
    expect(failures).toEqual([]);
    expect((await textOf('model.safetensors')) === String(large)).toBe(true);
  });

  test('whose last answer was lost finds that the upload is done', async () => {
    let lost = 0;
    proxy.mistreats = (asked) => (isEnd(asked) && lost++ === 0 ? 'lost' : undefined);
    await pushAll(pushingJob({ source }, { files }), env());
    expect(lost).toBe(2);
    expect((await textOf('model.safetensors')) === String(large)).toBe(true);
    expect(await textOf('config.json')).toBe(exportedModel['config.json']);
  });

  test('whose last answer takes long, as long as something comes, is waited for', async () => {
    proxy.mistreats = (asked) => (isEnd(asked) ? 'late' : undefined);
    await pushAll(pushingJob({ source }, { files }), { ...env(), patience: lateSeconds / 2 });
    expect(proxy.asked.filter(isEnd)).toHaveLength(1);
    expect((await textOf('model.safetensors')) === String(large)).toBe(true);
  });

  test.each<[string, 'fails' | 'mistreats', unknown, number]>([
    ['is done, is not sent again', 'mistreats', 'cut', 1],
    ['is not done, is ended again', 'fails', 200, 1],
  ])('whose last answer breaks off while the upload %s', async (_, how, what, ends) => {
    let broken = 0;
    Object.assign(proxy, { [how]: (asked: string) => (isEnd(asked) && broken++ === 0 ? what : undefined) });
    await pushAll(pushingJob({ source }, { files }), env());
    expect([broken > 0, proxy.asked.filter(isEnd).length]).toEqual([true, ends]);
    expect(proxy.asked.filter((asked) => asked.includes('partNumber'))).toHaveLength(3);
    expect((await textOf('model.safetensors')) === String(large)).toBe(true);
  });

  test.each<[string, number, string, RegExp]>([
    [
      'is refused, because its keys have expired,',
      403,
      'SourceUnavailable',
      /^spec\.output: .*answered 403.*it let the job in before: .*renew the Secret of spec\.output\.secretRef/,
    ],
    [
      'is refused, because its session has expired, as S3 says it,',
      400,
      'SourceUnavailable',
      /^spec\.output: .*answered 400 Bad Request \(The provided token has expired\.\): it let the job in before/,
    ],
    ['has no room', 507, 'DiskFull', /^spec\.output: .*answered 507.*its storage is full/],
    ['has trouble that does not pass', 503, 'SourceUnavailable', /^spec\.output: .*could not be written in 6 attempts/],
  ])('that %s midway leaves no parts and no config.json, and says why', async (_, status, reason, message) => {
    proxy.fails = (asked) => (asked.includes('partNumber=3') ? status : undefined);
    if (status === 400)
      proxy.says = '<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>';
    const run = pushingJob({ source }, { files });
    const failing = pushAll(run, env());
    await expect(failing).rejects.toMatchObject({ reason });
    await expect(failing).rejects.toThrow(message);
    expect([await uploadsLeft(), await textOf('config.json')]).toEqual([[], undefined]);
  });

  test('that is refused at a later file sends in the next only what is missing', async () => {
    const run = pushingJob({ source }, { files: { ...files, 'adapter_model.safetensors': 'small' } });
    proxy.fails = (asked) => (asked.includes('report.html') && asked.startsWith('PUT') ? 403 : undefined);
    await expect(pushAll(run, env())).rejects.toThrow('403');
    Object.assign(proxy, { asked: [], fails: () => undefined });
    await pushAll(run, env());
    expect(writes()).toEqual(['PUT report.html', 'PUT config.json']);
  });

  test('that is stopped between two parts leaves none; the next sends all of them', async () => {
    const run = pushingJob({ source }, { files });
    let parts = 0;
    const heard = listen();
    const beat = (): void => {
      parts = proxy.asked.filter((asked) => asked.includes('partNumber')).length;
      if (parts === 2) throw new Stopped('stopped on request');
    };
    const stopped = pushAll(run, { ...env(), heard: { ...heard, beat } });
    await expect(stopped).rejects.toThrow(Stopped);
    expect([parts, await uploadsLeft(), await textOf('config.json')]).toEqual([2, [], undefined]);
    proxy.asked = [];
    await pushAll(run, env());
    expect(writes().filter((asked) => asked.includes('partNumber'))).toHaveLength(3);
  });

  test.each([
    ['between two parts', 1],
    ['after the last one', 3],
  ])('of a trainer that another has followed %s publishes nothing', async (_, last) => {
    const parts = (): number => proxy.asked.filter((asked) => asked.includes('partNumber')).length;
    const check = (): void => {
      if (parts() === last) throw new Error('taken over');
    };
    const fence = { generation: 1, check };
    await expect(pushAll(pushingJob({ source }, { files }), { ...env(), fence })).rejects.toThrow('taken over');
    expect(parts()).toBe(last);
    expect([await uploadsLeft(), await textOf('model.safetensors')]).toEqual([[], undefined]);
  });

  test.each<[string, (asked: string) => boolean]>([
    ['its first check', (asked) => asked.includes('dpo-write-check')],
    ['what an earlier trainer left', (asked) => asked.includes('model.safetensors')],
  ])('whose request to drop the parts of %s fails once asks again', async (_, isOf) => {
    await client.fetch(`${urlOf('model.safetensors')}?uploads=`, { method: 'POST' });
    const failures = [503, 0];
    proxy.fails = (asked) =>
      asked.startsWith('DELETE') && asked.includes('uploadId') && isOf(asked) ? failures.shift() : undefined;
    await pushAll(pushingJob({ source }), env());
    expect([failures, await uploadsLeft()]).toEqual([[], []]);
  });

  const other = recordOf({ namespace: 'team', name: 'other', uid: 'other' });
  test.each<[string, [name: string, content: string], { reason: string; message: unknown }]>([
    [
      'takes the place',
      ['dpo-job.json', other],
      {
        reason: 'InvalidConfiguration',
        message: expect.stringMatching(/holds the model of the DPOJob team\/other/),
      },
    ],
    [
      'changes a file',
      ['tokenizer.json', 'of someone'],
      {
        reason: 'SourceUnavailable',
        message: expect.stringMatching(
          /^spec\.output: another has changed tokenizer\.json at s3:.* during the push: the next pod sends it again/,
        ),
      },
    ],
  ])('beside which another %s publishes nothing', async (_, [name, body], error) => {
    const theirs = { method: 'PUT', body, headers: { 'x-amz-meta-sha256': 'theirs' } };
    let before: Promise<unknown> | undefined;
    // All of the job's own files are there but the last one, and another's is put over one of them.
    proxy.asks = async (asked) => {
      const isReady = asked.startsWith('GET') && proxy.asked.some((each) => each.includes('report.html'));
      if (isReady) await (before ??= client.fetch(urlOf(name), theirs));
    };
    await expect(pushAll(pushingJob({ source }), env())).rejects.toMatchObject(error);
    expect(await textOf('config.json')).toBeUndefined();
  });

  describe('to a place that is empty', () => {
    const isRecord = (asked: string): boolean => asked.startsWith('PUT') && asked.includes('dpo-job.json');

    test("and that another job takes at the same moment is refused, and leaves the other's record and parts", async () => {
      let upload: string | undefined;
      const url = urlOf('model.safetensors');
      proxy.asks = async (asked) => {
        if (upload !== undefined || !/^(PUT.*dpo-job|GET.*[?&]uploads=)/.test(asked)) return;
        upload = '';
        await client.fetch(urlOf('dpo-job.json'), { method: 'PUT', body: other });
        const text = await (await client.fetch(`${url}?uploads=`, { method: 'POST' })).text();
        upload = /<UploadId>([^<]*)</.exec(text)?.[1];
      };
      await expect(pushAll(pushingJob({ source }), env())).rejects.toMatchObject({
        reason: 'InvalidConfiguration',
        message: expect.stringMatching(/holds the record of the DPOJob team\/other/),
      });
      expect([await textOf('dpo-job.json'), writes()]).toEqual([other, ['PUT dpo-job.json']]);
      expect((await client.fetch(`${url}?uploadId=${upload}`, { method: 'DELETE' })).status).toBe(204);
    });

    test('takes it by a record whose answer is lost', async () => {
      proxy.mistreats = (asked) => (isRecord(asked) && proxy.asked.filter(isRecord).length === 1 ? 'lost' : undefined);
      await pushAll(pushingJob({ source }), env());
      expect(writes().filter((each) => each === 'PUT dpo-job.json')).toHaveLength(2);
      expect(await textOf('config.json')).toBe(exportedModel['config.json']);
    });

    test('goes on after a conflict with a request that is being decided', async () => {
      const answers = [409];
      proxy.fails = (asked) => (isRecord(asked) ? answers.shift() : undefined);
      await pushAll(pushingJob({ source }), env());
      expect(await textOf('config.json')).toBe(exportedModel['config.json']);
    });

    test('of a server that knows no condition is taken without', async () => {
      const answers = [501];
      proxy.fails = (asked) => (isRecord(asked) ? answers.shift() : undefined);
      await pushAll(pushingJob({ source }), env());
      expect(answers).toEqual([]);
      expect(await textOf('config.json')).toBe(exportedModel['config.json']);
    });
  });

  test('after a trainer that was killed abandons the parts that it left', async () => {
    await client.fetch(`${urlOf('model.safetensors')}?uploads=`, { method: 'POST' });
    await client.fetch(`${urlOf('another.bin')}?uploads=`, { method: 'POST' });
    expect(await uploadsLeft()).toHaveLength(2);
    await pushAll(pushingJob({ source }), env());
    expect(await uploadsLeft()).toEqual([`models/my model ${number}/another.bin`]);
  });

  test('is stopped while a part is on its way', async () => {
    const run = pushingJob({ source }, { files });
    const beats = (await pushAll(run, env())).beats.findIndex(({ stageStep }) => stageStep !== undefined);
    source = `${source} again`;
    const again = pushingJob({ source }, { files });
    await expect(pushAll(again, { ...env(), heard: listen(beats + 2) })).rejects.toThrow(Stopped);
    expect((await uploadsLeft()).filter((key) => key.includes('again'))).toEqual([]);
  });
});

describe('before training begins it is told', () => {
  const check = (changes: NodeJS.ProcessEnv, to = source): Promise<void> =>
    checkPush(pushingJob({ source: to }), listen(), { ...env(changes), pause: () => Promise.resolve() });
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
    proxy.fails = (asked) => (asked.startsWith('DELETE') && !asked.includes('uploadId') ? 403 : undefined);
    await expect(check({})).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
    await expect(check({})).rejects.toThrow(
      /dpo-write-check answered 403.*spec\.output\.secretRef names a Secret with AWS_ACCESS_KEY_ID.*s3:DeleteObject/,
    );
  });

  test('where something else has written a model, and that stays', async () => {
    await put('config.json');
    await expect(check({})).rejects.toThrow(
      /holds config\.json and no dpo-job\.json, so no DPOJob has made it: name another path/,
    );
    expect(await textOf('config.json')).toBe('of someone');
  });

  test('where another job pushes its model, which is not there yet', async () => {
    const body = recordOf({ namespace: 'team', name: 'other', uid: 'other' });
    await client.fetch(urlOf('dpo-job.json'), { method: 'PUT', body });
    await expect(check({})).rejects.toThrow(/holds the record of the DPOJob team\/other/);
  });

  test('where another job has written its model', async () => {
    await pushAll(pushingJob({ source }, { name: 'first' }), env());
    await expect(check({})).rejects.toThrow(/holds the model of the DPOJob team\/first/);
  });

  test('and nothing is left there where all is well', async () => {
    await check({});
    expect(
      [await uploadsLeft(), await textOf('dpo-write-check')].flat().filter((left) => left?.includes('check')),
    ).toEqual([]);
  });
});
