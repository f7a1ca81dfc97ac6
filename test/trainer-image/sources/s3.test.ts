import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { sourceEnvironment } from '../../../trainer-image/sources/environment.ts';
import type { Asker } from '../../../trainer-image/sources/http.ts';
import { listS3, parseList } from '../../../trainer-image/sources/s3.ts';

/** Signatures are checked by a real server: test/integration/s3.test.ts. */
const asker: Asker = {
  field: 'spec.dataset',
  secretRef: 'spec.dataset.secretRef',
  credentials: 'keys',
  job: 'uid',
  beat: () => {},
  tell: () => {},
  pause: () => Promise.resolve(),
};
const contents = (key: string): string =>
  `<Contents><Key>${key}</Key><Size>3</Size><ETag>&quot;abc&quot;</ETag></Contents>`;
const answer = (...keys: string[]): string =>
  `<ListBucketResult><IsTruncated>false</IsTruncated>${keys.map(contents).join('')}</ListBucketResult>`;
const keys = { AWS_ACCESS_KEY_ID: 'ID', AWS_SECRET_ACCESS_KEY: 'secret' };

beforeAll(() => nock.disableNetConnect());
afterAll(() => nock.restore());

describe('a bucket is asked', () => {
  test.each<[string, NodeJS.ProcessEnv, string, string]>([
    ['at its own host of AWS', { AWS_REGION: 'eu-west-1' }, 'https://data.s3.eu-west-1.amazonaws.com', '/'],
    ['in the region that is the default', {}, 'https://data.s3.us-east-1.amazonaws.com', '/'],
    ['below the endpoint that is given', { AWS_ENDPOINT_URL_S3: 'http://minio:9000/' }, 'http://minio:9000', '/data'],
    ['below the endpoint of all services', { AWS_ENDPOINT_URL: 'http://minio:9000' }, 'http://minio:9000', '/data'],
  ])('%s', async (_, env, host, path) => {
    nock(host).get(path).query({ 'list-type': '2', prefix: 'a.jsonl' }).reply(200, answer('a.jsonl'));
    const { files } = await listS3('s3://data/a.jsonl', 'dataset', asker, sourceEnvironment(env, 'DATASET_').s3);
    expect(files).toMatchObject([{ path: 'a.jsonl', size: 3, version: 'abc' }]);
    expect(files[0]?.ask.url).toBe(`${host}${path === '/' ? '' : path}/a.jsonl`);
  });

  test('at a path of AWS where its name has dots, which no certificate covers as a host', async () => {
    nock('https://s3.us-east-1.amazonaws.com').get('/my.data').query(true).reply(200, answer('a.jsonl'));
    const { files } = await listS3('s3://my.data/a.jsonl', 'dataset', asker, sourceEnvironment({}, 'DATASET_').s3);
    expect(files).toHaveLength(1);
  });

  const unsigned = { badheaders: ['authorization', 'x-amz-security-token'] };
  test.each<[string, NodeJS.ProcessEnv, nock.Options]>([
    ['without credentials, unsigned', {}, unsigned],
    ['with half of them, unsigned', { AWS_ACCESS_KEY_ID: 'ID', AWS_SECRET_ACCESS_KEY: '' }, unsigned],
    ['with them, signed for S3 in a region', keys, { reqheaders: { authorization: /=ID\/\d{8}\/us-east-1\/s3\// } }],
    [
      'with those of a session, its token signed too',
      { ...keys, AWS_SESSION_TOKEN: 't' },
      { reqheaders: { authorization: /SignedHeaders=[^,]*x-amz-security-token/, 'x-amz-security-token': 't' } },
    ],
  ])('%s', async (_, env, options) => {
    nock('https://data.s3.us-east-1.amazonaws.com', options).get('/').query(true).reply(200, answer('a.jsonl'));
    const { files } = await listS3('s3://data/a.jsonl', 'dataset', asker, sourceEnvironment(env, 'DATASET_').s3);
    expect(files).toHaveLength(1);
  });
});

test('an answer is read with its entities, and the token of the next', () => {
  const xml = `<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>
    <NextContinuationToken>1&amp;2</NextContinuationToken>${contents('a &amp;&#x20;&#98;&lt;.jsonl')}${contents('c')}</ListBucketResult>`;
  expect(parseList(xml)).toEqual({
    entries: [
      { key: 'a & b<.jsonl', size: 3, etag: 'abc' },
      { key: 'c', size: 3, etag: 'abc' },
    ],
    next: '1&2',
  });
});

test('a key that would leave the folder is refused', async () => {
  nock('https://data.s3.us-east-1.amazonaws.com').get('/').query(true).reply(200, answer('d/../x.jsonl', 'd/ok.jsonl'));
  await expect(listS3('s3://data/d', 'dataset', asker, sourceEnvironment({}, 'DATASET_').s3)).rejects.toThrow(
    /lists a file with the path '\.\.\/x\.jsonl'/,
  );
});
