import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { request, type Ask, type Asker } from '../../../trainer-image/sources/http.ts';
import { Stopped } from '../../../trainer-image/stages/context.ts';

/** Requests that write, against a real server; those that read: test/trainer-image/sources/http.test.ts. */
const asker: Asker = {
  field: 'spec.output',
  secretRef: 'spec.output.secretRef',
  credentials: 'HF_TOKEN',
  writes: true,
  job: 'job-uid',
  beat: () => {},
  tell: () => {},
  pause: () => Promise.resolve(),
};
let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function serve(answer: RequestListener): Promise<Ask> {
  server = createServer(answer);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/a`, method: 'PUT', body: 'content', headers: (given) => given };
}

describe('a request that writes', () => {
  test('is stopped while its answer is waited for', async () => {
    let beats = 0;
    const beat = (): void => {
      if (++beats > 1) throw new Stopped('stopped on request');
    };
    const ask = await serve((received) => void received.resume());
    const began = performance.now();
    await expect(request(ask, { ...asker, beat })).rejects.toThrow(Stopped);
    // Far less than the minute after which a silent server is given up.
    expect(performance.now() - began).toBeLessThan(30_000);
  }, 60_000);

  test.each([
    ["S3's", '<Error><Code>QuotaExceeded</Code><Message>No room</Message></Error>', 'No room'],
    ["the Hub's", '{"error":"Private storage limit reached"}', 'Private storage limit reached'],
  ])('that is refused is told with %s own words', async (_, body, words) => {
    const ask = await serve((_received, response) => void response.writeHead(403).end(body));
    await expect(request(ask, asker)).rejects.toThrow(
      `answered 403 Forbidden (${words}): there are no credentials, or they may not write it: spec.output.secretRef`,
    );
  });

  test('is sent on with its body where the server says so', async () => {
    const bodies: string[] = [];
    const ask = await serve((received, response) => {
      let body = '';
      received.on('data', (piece: Buffer) => (body += String(piece)));
      received.on('end', () => {
        bodies.push(`${received.method} ${received.url} ${body}`);
        if (received.url === '/b') response.end();
        else response.writeHead(307, { location: '/b' }).end();
      });
    });
    await request(ask, asker);
    expect(bodies).toEqual(['PUT /a content', 'PUT /b content']);
  });

  test('is not made a GET by a redirect: the bucket is in another region', async () => {
    const ask = await serve((_received, response) => void response.writeHead(301, { location: '/b' }).end());
    await expect(request(ask, asker)).rejects.toThrow(/answered 301.*is AWS_REGION that of the bucket/);
  });
});
