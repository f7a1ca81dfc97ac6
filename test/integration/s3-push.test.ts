import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { recordOf } from '../../trainer-image/export/owner.ts';
import { fetchSources } from '../../trainer-image/sources/fetch.ts';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { s3Keys } from '../cluster/s3.ts';
import { listen } from '../trainer-image/heard.ts';
import { exportedModel, pushAll, pushingJob, writeFolder } from '../trainer-image/push/pushing.ts';
import { S3Place, files, large } from './s3-place.ts';
import { lateSeconds } from './s3-proxy.ts';

const place = S3Place.forTests();
/** Of an upload in parts. */
const isEnd = (asked: string): boolean => asked.startsWith('POST') && asked.includes('uploadId');

describe('a model that is pushed to S3', () => {
  test('is there whole, a large file in parts, and config.json last', async () => {
    await pushAll(pushingJob({ source: place.source }, { files }), place.env());
    expect(place.writes()).toEqual([
      'PUT dpo-job.json',
      'PUT model.safetensors?partNumber=1',
      'PUT model.safetensors?partNumber=2',
      'PUT model.safetensors?partNumber=3',
      'PUT tokenizer.json',
      'PUT report.html',
      'PUT config.json',
    ]);
    expect(await place.uploadsLeft()).toEqual([]);
  });

  test('can be read by a job from there', async () => {
    await pushAll(pushingJob({ source: place.source }, { files }), place.env());
    const rest = { model: { source: place.source } };
    const reader = pushingJob({ source: 'pvc://o/o' }, { rest });
    const keys = { ...s3Keys, AWS_ENDPOINT_URL_S3: place.server.endpoint, AWS_REGION: 'eu-central-1' };
    const { paths } = await fetchSources(reader, listen(), keys);
    expect(readFileSync(join(paths.model, 'model.safetensors')).equals(large)).toBe(true);
    expect(readFileSync(join(paths.model, 'config.json'), 'utf8')).toBe(exportedModel['config.json']);
  });

  test('of the same job is replaced: without config.json until the new one is whole', async () => {
    const adapter = { 'adapter_model.safetensors': 'a', 'adapter_config.json': '{}', 'tokenizer.json': '{}' };
    await pushAll(pushingJob({ source: place.source }, { files: adapter }), place.env());
    await place.put('notes.txt');
    place.proxy.asked = [];
    await pushAll(pushingJob({ source: place.source }), place.env());
    expect(place.writes()).toEqual([
      'DELETE adapter_config.json',
      'DELETE adapter_model.safetensors',
      'PUT model.safetensors',
      'PUT report.html',
      'PUT config.json',
    ]);
    expect(await place.textOf('notes.txt')).toBe('of someone');
  });

  test('again, all of it being there, sends nothing', async () => {
    const run = pushingJob({ source: place.source });
    await pushAll(run, place.env());
    place.proxy.asked = [];
    const heard = await pushAll(run, place.env());
    expect(place.writes()).toEqual([]);
    expect(heard.infos.at(-1)).toMatch(/: all of it was there$/);
  });

  test('again, with another report, is no model while it is sent', async () => {
    const run = pushingJob({ source: place.source });
    await pushAll(run, place.env());
    writeFolder(run, { ...exportedModel, 'report.html': 'later' });
    place.proxy.asked = [];
    await pushAll(run, place.env());
    expect(place.writes()).toEqual(['DELETE config.json', 'PUT report.html', 'PUT config.json']);
  });
});

describe('a push to S3', () => {
  test('goes on where the wire broke or the server had trouble', async () => {
    const failures = [0, 503, 500];
    place.proxy.fails = (asked) => (asked.includes('partNumber=2') ? failures.shift() : undefined);
    await pushAll(pushingJob({ source: place.source }, { files }), place.env());
    expect(failures).toEqual([]);
    expect((await place.textOf('model.safetensors')) === String(large)).toBe(true);
  });

  test('whose last answer was lost finds that the upload is done', async () => {
    let lost = 0;
    place.proxy.mistreats = (asked) => (isEnd(asked) && lost++ === 0 ? 'lost' : undefined);
    await pushAll(pushingJob({ source: place.source }, { files }), place.env());
    expect(lost).toBe(2);
    expect((await place.textOf('model.safetensors')) === String(large)).toBe(true);
    expect(await place.textOf('config.json')).toBe(exportedModel['config.json']);
  });

  test('whose last answer takes long, as long as something comes, is waited for', async () => {
    place.proxy.mistreats = (asked) => (isEnd(asked) ? 'late' : undefined);
    await pushAll(pushingJob({ source: place.source }, { files }), { ...place.env(), patience: lateSeconds / 2 });
    expect(place.proxy.asked.filter(isEnd)).toHaveLength(1);
    expect((await place.textOf('model.safetensors')) === String(large)).toBe(true);
  });

  test.each<[string, 'fails' | 'mistreats', unknown, number]>([
    ['is done, is not sent again', 'mistreats', 'cut', 1],
    ['is not done, is ended again', 'fails', 200, 1],
  ])('whose last answer breaks off while the upload %s', async (_, how, what, ends) => {
    let broken = 0;
    Object.assign(place.proxy, { [how]: (asked: string) => (isEnd(asked) && broken++ === 0 ? what : undefined) });
    await pushAll(pushingJob({ source: place.source }, { files }), place.env());
    expect([broken > 0, place.proxy.asked.filter(isEnd).length]).toEqual([true, ends]);
    expect(place.proxy.asked.filter((asked) => asked.includes('partNumber'))).toHaveLength(3);
    expect((await place.textOf('model.safetensors')) === String(large)).toBe(true);
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
    place.proxy.fails = (asked) => (asked.includes('partNumber=3') ? status : undefined);
    if (status === 400)
      place.proxy.says = '<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>';
    const run = pushingJob({ source: place.source }, { files });
    const failing = pushAll(run, place.env());
    await expect(failing).rejects.toMatchObject({ reason });
    await expect(failing).rejects.toThrow(message);
    expect([await place.uploadsLeft(), await place.textOf('config.json')]).toEqual([[], undefined]);
  });

  test('that is refused at a later file sends in the next only what is missing', async () => {
    const run = pushingJob({ source: place.source }, { files: { ...files, 'adapter_model.safetensors': 'small' } });
    place.proxy.fails = (asked) => (asked.includes('report.html') && asked.startsWith('PUT') ? 403 : undefined);
    await expect(pushAll(run, place.env())).rejects.toThrow('403');
    Object.assign(place.proxy, { asked: [], fails: () => undefined });
    await pushAll(run, place.env());
    expect(place.writes()).toEqual(['PUT report.html', 'PUT config.json']);
  });

  test('that is stopped between two parts leaves none; the next sends all of them', async () => {
    const run = pushingJob({ source: place.source }, { files });
    let parts = 0;
    const heard = listen();
    const beat = (): void => {
      parts = place.proxy.asked.filter((asked) => asked.includes('partNumber')).length;
      if (parts === 2) throw new Stopped('stopped on request');
    };
    const stopped = pushAll(run, { ...place.env(), heard: { ...heard, beat } });
    await expect(stopped).rejects.toThrow(Stopped);
    expect([parts, await place.uploadsLeft(), await place.textOf('config.json')]).toEqual([2, [], undefined]);
    place.proxy.asked = [];
    await pushAll(run, place.env());
    expect(place.writes().filter((asked) => asked.includes('partNumber'))).toHaveLength(3);
  });

  test.each([
    ['between two parts', 1],
    ['after the last one', 3],
  ])('of a trainer that another has followed %s publishes nothing', async (_, last) => {
    const parts = (): number => place.proxy.asked.filter((asked) => asked.includes('partNumber')).length;
    const check = (): void => {
      if (parts() === last) throw new Error('taken over');
    };
    const fence = { generation: 1, check };
    await expect(pushAll(pushingJob({ source: place.source }, { files }), { ...place.env(), fence })).rejects.toThrow(
      'taken over',
    );
    expect(parts()).toBe(last);
    expect([await place.uploadsLeft(), await place.textOf('model.safetensors')]).toEqual([[], undefined]);
  });

  test.each<[string, (asked: string) => boolean]>([
    ['its first check', (asked) => asked.includes('dpo-write-check')],
    ['what an earlier trainer left', (asked) => asked.includes('model.safetensors')],
  ])('whose request to drop the parts of %s fails once asks again', async (_, isOf) => {
    await place.beginUpload('model.safetensors');
    const failures = [503, 0];
    place.proxy.fails = (asked) =>
      asked.startsWith('DELETE') && asked.includes('uploadId') && isOf(asked) ? failures.shift() : undefined;
    await pushAll(pushingJob({ source: place.source }), place.env());
    expect([failures, await place.uploadsLeft()]).toEqual([[], []]);
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
    place.proxy.asks = async (asked) => {
      const isReady = asked.startsWith('GET') && place.proxy.asked.some((each) => each.includes('report.html'));
      if (isReady) await (before ??= place.request(name, theirs));
    };
    await expect(pushAll(pushingJob({ source: place.source }), place.env())).rejects.toMatchObject(error);
    expect(await place.textOf('config.json')).toBeUndefined();
  });

  describe('to a place that is empty', () => {
    const isRecord = (asked: string): boolean => asked.startsWith('PUT') && asked.includes('dpo-job.json');

    test("and that another job takes at the same moment is refused, and leaves the other's record and parts", async () => {
      let upload: string | undefined;
      place.proxy.asks = async (asked) => {
        if (upload !== undefined || !/^(PUT.*dpo-job|GET.*[?&]uploads=)/.test(asked)) return;
        upload = '';
        await place.put('dpo-job.json', other);
        upload = await place.beginUpload('model.safetensors');
      };
      await expect(pushAll(pushingJob({ source: place.source }), place.env())).rejects.toMatchObject({
        reason: 'InvalidConfiguration',
        message: expect.stringMatching(/holds the record of the DPOJob team\/other/),
      });
      expect([await place.textOf('dpo-job.json'), place.writes()]).toEqual([other, ['PUT dpo-job.json']]);
      const dropped = await place.request('model.safetensors', { method: 'DELETE' }, `?uploadId=${upload}`);
      expect(dropped.status).toBe(204);
    });

    test('takes it by a record whose answer is lost', async () => {
      place.proxy.mistreats = (asked) =>
        isRecord(asked) && place.proxy.asked.filter(isRecord).length === 1 ? 'lost' : undefined;
      await pushAll(pushingJob({ source: place.source }), place.env());
      expect(place.writes().filter((each) => each === 'PUT dpo-job.json')).toHaveLength(2);
      expect(await place.textOf('config.json')).toBe(exportedModel['config.json']);
    });

    test('goes on after a conflict with a request that is being decided', async () => {
      const answers = [409];
      place.proxy.fails = (asked) => (isRecord(asked) ? answers.shift() : undefined);
      await pushAll(pushingJob({ source: place.source }), place.env());
      expect(await place.textOf('config.json')).toBe(exportedModel['config.json']);
    });

    test('of a server that knows no condition is taken without', async () => {
      const answers = [501];
      place.proxy.fails = (asked) => (isRecord(asked) ? answers.shift() : undefined);
      await pushAll(pushingJob({ source: place.source }), place.env());
      expect(answers).toEqual([]);
      expect(await place.textOf('config.json')).toBe(exportedModel['config.json']);
    });
  });

  test('after a trainer that was killed abandons the parts that it left', async () => {
    await place.beginUpload('model.safetensors');
    await place.beginUpload('another.bin');
    expect(await place.uploadsLeft()).toHaveLength(2);
    await pushAll(pushingJob({ source: place.source }), place.env());
    expect(await place.uploadsLeft()).toEqual([place.key('another.bin')]);
  });

  test('is stopped while a part is on its way', async () => {
    const run = pushingJob({ source: place.source }, { files });
    const beats = (await pushAll(run, place.env())).beats.findIndex(({ stageStep }) => stageStep !== undefined);
    place.source = `${place.source} again`;
    const again = pushingJob({ source: place.source }, { files });
    await expect(pushAll(again, { ...place.env(), heard: listen(beats + 2) })).rejects.toThrow(Stopped);
    expect((await place.uploadsLeft()).filter((key) => key.includes('again'))).toEqual([]);
  });
});
