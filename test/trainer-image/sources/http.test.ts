import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, afterAll, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { download } from '../../../trainer-image/sources/download.ts';
import { request, getJson, type Asker } from '../../../trainer-image/sources/http.ts';
import { listHttps } from '../../../trainer-image/sources/https.ts';

const host = 'https://files.example.com';
const pauses: number[] = [];
const told: string[] = [];
const asker: Asker = {
  field: 'spec.dataset',
  secretRef: 'spec.dataset.secretRef',
  credentials: 'HTTPS_BEARER_TOKEN',
  job: 'job-uid',
  beat: () => {},
  tell: (message) => void told.push(message),
  pause: (seconds) => Promise.resolve(void pauses.push(seconds)),
};
const ask = (path: string) => ({ url: `${host}${path}`, headers: (given: Record<string, string>) => given });
const folder = mkdtempSync(join(tmpdir(), 'http-'));

beforeAll(() => nock.disableNetConnect());
afterAll(() => nock.restore());
afterEach(() => {
  expect(nock.pendingMocks()).toEqual([]);
  nock.cleanAll();
  pauses.length = 0;
  told.length = 0;
});

describe('a request', () => {
  test.each([
    [
      401,
      /^spec\.dataset: https:\/\/files\.example\.com\/a answered 401.*set spec\.dataset\.secretRef to a Secret with HTTPS_BEARER_TOKEN/,
    ],
    [403, /answered 403.*spec\.dataset\.secretRef/],
    [404, /answered 404.*it is not there/],
    [410, /answered 410.*it cannot be read/],
  ])(
    'answered %d is not made again; the message says field, URL without its signature, and what to do',
    async (status, message) => {
      nock(host).get('/a').query({ 'X-Amz-Signature': 'secret' }).reply(status, 'no');
      const failing = request(ask('/a?X-Amz-Signature=secret'), asker);
      await expect(failing).rejects.toMatchObject({
        reason: 'InvalidConfiguration',
        message: expect.stringMatching(message),
      });
      await expect(failing).rejects.not.toThrow(/secret=|Signature/);
      expect(pauses).toEqual([]);
    },
  );

  test('is made again after trouble that passes, with growing pauses, or the one the server asks for', async () => {
    nock(host).get('/a').reply(503).get('/a').reply(500).get('/a').reply(429, '', { 'retry-after': '7' });
    nock(host)
      .get('/a')
      .replyWithError(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    nock(host).get('/a').reply(200, 'body');
    const { response } = await request(ask('/a'), asker);
    expect(await response.text()).toBe('body');
    expect(pauses).toEqual([1, 2, 7, 8]);
  });

  test('that fails six times is given up, for the next pod to try', async () => {
    nock(host).get('/a').times(6).reply(503);
    await expect(request(ask('/a'), asker)).rejects.toMatchObject({
      reason: 'SourceUnavailable',
      message: expect.stringMatching(/could not be fetched in 6 attempts \(503/),
    });
    expect(pauses).toEqual([1, 2, 4, 8, 16]);
  });

  test('tells with its first failure what cannot be read, why, and how often it will try; never a signature', async () => {
    nock(host).get('/a').query({ sig: 'secret' }).reply(503, '').get('/a').query({ sig: 'secret' }).reply(200, 'body');
    const before: number[] = [];
    const pause = (): Promise<void> => Promise.resolve(void before.push(told.length));
    await request(ask('/a?sig=secret'), { ...asker, pause });
    expect(before).toEqual([1]);
    expect(told).toEqual([
      'spec.dataset: cannot read https://files.example.com/a: 503 Service Unavailable; trying again in 1 s, attempt 2 of 6',
    ]);
  });

  test('that is redirected from https to http is refused', async () => {
    nock(host).get('/a').reply(302, '', { location: 'http://files.example.com/a' });
    await expect(request(ask('/a'), asker)).rejects.toThrow(/redirects to http/);
  });

  test('that comes back to https over http is refused too: the first hop decides where the second goes', async () => {
    nock(host).get('/a').reply(302, '', { location: 'http://hop.example.com/a' });
    await expect(request(ask('/a'), asker)).rejects.toMatchObject({ reason: 'InvalidConfiguration' });
  });

  test('takes its credentials to no other host', async () => {
    const secrets = { authorization: 'Bearer t', 'x-amz-security-token': 's', cookie: 'c' };
    nock(host, { reqheaders: secrets }).get('/a').reply(301, '', { location: '/b' });
    nock(host, { reqheaders: secrets }).get('/b').reply(307, '', { location: 'https://cdn.example.com/c' });
    nock('https://cdn.example.com', { badheaders: Object.keys(secrets), reqheaders: { range: 'bytes=1-' } })
      .get('/c')
      .reply(206, 'body');
    const headers = (given: Record<string, string>) => ({ ...given, ...secrets });
    const { response } = await request({ ...ask('/a'), headers }, asker, { headers: { range: 'bytes=1-' } });
    expect(await response.text()).toBe('body');
  });

  test('that is redirected in a circle is refused', async () => {
    nock(host).get('/a').times(11).reply(302, '', { location: '/a' });
    await expect(request(ask('/a'), asker)).rejects.toThrow(/redirects more than 10 times/);
  });
});

describe('a download', () => {
  const file = (more = {}) => ({ path: 'f', ask: ask('/f'), version: '1', size: 10, ...more });
  const sha256 = '84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882';

  test('goes on at the byte where the connection broke, and stands in its place only when it is whole', async () => {
    nock(host).get('/f').reply(200, '01234');
    nock(host, { reqheaders: { range: 'bytes=5-' } })
      .get('/f')
      .reply(206, '56789');
    let bytes = 0;
    await download(file({ sha256 }), join(folder, 'resumed'), asker, (more) => (bytes += more));
    expect(readFileSync(join(folder, 'resumed'), 'utf8')).toBe('0123456789');
    expect(bytes).toBe(10);
  });

  test('begins anew where the server knows no ranges', async () => {
    nock(host).get('/f').reply(200, '01234').get('/f').reply(200, '0123456789');
    let bytes = 0;
    await download(file({ sha256 }), join(folder, 'anew'), asker, (more) => (bytes += more));
    expect(readFileSync(join(folder, 'anew'), 'utf8')).toBe('0123456789');
    expect(bytes).toBe(10);
  });

  test('is never put together of two versions: the rest is asked for of the one that was listed', async () => {
    nock(host).get('/f').reply(200, '01234', { etag: '"a"' });
    nock(host, { reqheaders: { range: 'bytes=5-', 'if-range': '"a"' } })
      .get('/f')
      .reply(206, 'BBBBB', { etag: '"b"' });
    const mixing = download(file({ etag: '"a"' }), join(folder, 'mixed'), asker, () => {});
    await expect(mixing).rejects.toMatchObject({
      reason: 'SourceUnavailable',
      message: expect.stringMatching(/^spec\.dataset: .*\/f changed while it was fetched/),
    });
    expect(readdirSync(folder).filter((name) => name.startsWith('mixed'))).toEqual([]);
  });

  test.each([
    ['SHA-256', { sha256 }, /its SHA-256 is .*, the server tells 84d8/],
    // `printf 0123456789 | git hash-object --stdin`
    ["git's digest", { gitSha1: 'ad471007bd7f5983d273b9584e5629230150fd54' }, /git's SHA-1 of it is/],
  ])('whose content has not the %s that the server tells leaves nothing behind', async (_, told, message) => {
    nock(host).get('/f').times(6).reply(200, '0123456780');
    await expect(download(file(told), join(folder, 'wrong'), asker, () => {})).rejects.toThrow(message);
    expect(readdirSync(folder).filter((name) => name.startsWith('wrong'))).toEqual([]);
  });

  test("with git's digest is taken when it is right", async () => {
    nock(host).get('/f').reply(200, '0123456789');
    const told = { gitSha1: 'ad471007bd7f5983d273b9584e5629230150fd54' };
    await download(file(told), join(folder, 'git'), asker, () => {});
    expect(readFileSync(join(folder, 'git'), 'utf8')).toBe('0123456789');
  });

  test('is left at once when the run is to stop', async () => {
    nock(host).get('/f').reply(200, '0123456789');
    const stop = new Error('stop');
    const stopping = download(file(), join(folder, 'stopped'), asker, () => {
      throw stop;
    });
    await expect(stopping).rejects.toBe(stop);
    expect(readdirSync(folder).filter((name) => name.startsWith('stopped'))).toEqual([]);
  });
});

describe('a listing', () => {
  test('that is a page to log in says so, and is not tried again', async () => {
    nock(host).get('/list').reply(200, '<html>Log in</html>');
    await expect(getJson(ask('/list'), asker)).rejects.toMatchObject({
      reason: 'InvalidConfiguration',
      message: expect.stringMatching(/is not JSON: is it a page to log in/),
    });
  });

  test('whose body breaks off is asked for again', async () => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.writeHead(200, { 'content-length': '7' });
      if (asked > 1) response.end('{"a":1}');
      else response.write('{"a"', () => setTimeout(() => response.socket?.destroy(), 20));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    nock.enableNetConnect('127.0.0.1');
    const { port } = server.address() as AddressInfo;
    await expect(getJson({ ...ask('/'), url: `http://127.0.0.1:${port}/list` }, asker)).resolves.toEqual({ a: 1 });
    expect([asked, pauses.length]).toEqual([2, 1]);
    nock.disableNetConnect();
    server.close();
  });
});

describe('an https:// source', () => {
  test('is asked for with the bearer token, for its size and version', async () => {
    const headers = { authorization: 'Bearer t', range: 'bytes=0-0', 'accept-encoding': 'identity' };
    nock(host, { reqheaders: headers })
      .get(/^\/d\/pairs(%20| )a\.jsonl$/)
      .reply(206, '{', { 'content-range': 'bytes 0-0/123', etag: '"v1"' });
    const { files } = await listHttps(`${host}/d/pairs%20a.jsonl`, 'dataset', asker, { bearerToken: 't' });
    expect(files).toMatchObject([{ path: 'pairs a.jsonl', size: 123, version: '"v1"', etag: '"v1"' }]);
  });

  test('whose path is no text is refused', async () => {
    await expect(listHttps(`${host}/a%zz`, 'dataset', asker, { bearerToken: undefined })).rejects.toMatchObject({
      reason: 'InvalidConfiguration',
      message: expect.stringContaining('write it as %25'),
    });
  });

  test('as a model is a folder of the usual names, with the weights that the index names', async () => {
    const answer = (name: string, body: string) => nock(host).get(`/m/${name}`).times(2).reply(200, body).persist();
    const map = { weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-1.safetensors' } };
    answer('model.safetensors.index.json', JSON.stringify(map));
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])
      answer(name, '{}');
    for (const name of ['model-1.safetensors', 'model-2.safetensors']) answer(name, 'w');
    for (const name of ['special_tokens_map', 'added_tokens', 'generation_config'])
      // A bucket that may not be listed says "forbidden" of what is not there.
      nock(host)
        .get(`/m/${name}.json`)
        .reply(name === 'added_tokens' ? 403 : 404);
    const { files } = await listHttps(`${host}/m/`, 'model', asker, { bearerToken: undefined });
    expect(files.map(({ path }) => path).sort()).toEqual([
      'chat_template.jinja',
      'config.json',
      'model-1.safetensors',
      'model-2.safetensors',
      'model.safetensors.index.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    nock.cleanAll();
  });

  test('whose index names a file outside its folder is refused', async () => {
    const map = { weight_map: { a: '../../etc/passwd' } };
    nock(host).get('/m/model.safetensors.index.json').times(2).reply(200, JSON.stringify(map));
    nock(host)
      .get(/^\/m\/(config|tokenizer|tokenizer_config)\.json$/)
      .times(3)
      .reply(200, '{}');
    await expect(listHttps(`${host}/m`, 'model', asker, { bearerToken: undefined })).rejects.toThrow(
      /lists a file with the path '\.\.\/\.\.\/etc\/passwd'/,
    );
  });
});
