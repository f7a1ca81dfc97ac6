import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import { AwsClient } from 'aws4fetch';
import { s3Keys, startS3 } from '../cluster/s3.ts';
import { exportedModel, removeVolumes } from '../trainer-image/push/pushing.ts';
import { startProxy, type Proxy } from './s3-proxy.ts';

/** 20 MB: two parts of 8 MiB and one shorter. */
export const large = Buffer.alloc(20_000_000, 'a large file');
export const files = { ...exportedModel, 'model.safetensors': large };

const client = new AwsClient({
  accessKeyId: s3Keys.AWS_ACCESS_KEY_ID,
  secretAccessKey: s3Keys.AWS_SECRET_ACCESS_KEY,
  service: 's3',
  region: 'eu-central-1',
});

/**
 * A real S3 server, which checks every request's signature, and a proxy before it that can mistreat requests. Each test
 * has a prefix of its own.
 */
export class S3Place {
  server!: Awaited<ReturnType<typeof startS3>>;
  proxy!: Proxy;
  source = '';
  private number = 0;

  /** Registers what brings both up before the tests of a file, and takes them down. */
  static forTests(): S3Place {
    const place = new S3Place();
    beforeAll(() => place.start());
    afterAll(() => place.stop());
    beforeEach(() => place.renew());
    return place;
  }

  private async start(): Promise<void> {
    this.server = await startS3();
    this.proxy = await startProxy(this.server.endpoint);
  }

  private stop(): void {
    this.proxy.stop();
    this.server.stop();
    removeVolumes();
  }

  private renew(): void {
    this.number++;
    this.source = `s3://bucket/models/my model ${this.number}`;
    const harmless = { asks: async () => {}, fails: () => undefined, says: '', mistreats: () => undefined };
    Object.assign(this.proxy, { asked: [], ...harmless });
  }

  /** What a pod finds in its environment. */
  env(more: NodeJS.ProcessEnv = {}): { env: NodeJS.ProcessEnv } {
    const keys = Object.fromEntries(Object.entries(s3Keys).map(([name, key]) => [`OUTPUT_${name}`, key]));
    const place = { OUTPUT_AWS_ENDPOINT_URL_S3: this.proxy.endpoint, OUTPUT_AWS_REGION: 'eu-central-1' };
    return { env: { ...place, ...keys, ...more } };
  }

  /** The object's key of a file of this test's prefix. */
  key(name: string): string {
    return `models/my model ${this.number}/${name}`;
  }

  /** A signed request about a file past the proxy; `query` names a sub-resource, as "?uploads=". */
  request(name: string, init: RequestInit = {}, query = ''): Promise<Response> {
    return client.fetch(`${this.server.endpoint}/bucket/${encodeURI(this.key(name))}${query}`, init);
  }

  async put(name: string, body = 'of someone'): Promise<void> {
    await this.request(name, { method: 'PUT', body });
  }

  async textOf(name: string): Promise<string | undefined> {
    const response = await this.request(name);
    return response.ok ? response.text() : undefined;
  }

  /** Begins an upload in parts, as a trainer leaves one that is killed, and gives its id. */
  async beginUpload(name: string): Promise<string | undefined> {
    const response = await this.request(name, { method: 'POST' }, '?uploads=');
    return /<UploadId>([^<]*)</.exec(await response.text())?.[1];
  }

  /** Keys of all uploads in parts that were begun and neither ended nor abandoned. */
  async uploadsLeft(): Promise<string[]> {
    const text = await (await client.fetch(`${this.server.endpoint}/bucket?uploads=`)).text();
    return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
  }

  /** "PUT model.safetensors", in the order they were done. */
  writes(): string[] {
    return this.proxy.asked
      .filter((asked) => /^(PUT|DELETE)/.test(asked) && !asked.includes('dpo-write-check'))
      .map((asked) => asked.replace(/ .*\//, ' ').replace(/[?&]uploadId.*$/, ''));
  }
}
