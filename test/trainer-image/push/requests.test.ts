import { mkdtempSync, openAsBlob, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { getText, request, type Ask, type Asker } from '../../../trainer-image/sources/http.ts';
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
  test.each<[string, Ask['body']]>([
    ['text', 'content'],
    ['a file', new Blob(['content'])],
  ])(
    '(%s) is stopped while its answer is waited for',
    async (_, body) => {
      let beats = 0;
      const beat = (): void => {
        if (++beats > 1) throw new Stopped('stopped on request');
      };
      const ask = await serve((received) => void received.resume());
      const began = performance.now();
      await expect(request({ ...ask, body: body as string }, { ...asker, beat })).rejects.toThrow(Stopped);
      // Far less than the minute after which a silent server is given up.
      expect(performance.now() - began).toBeLessThan(30_000);
    },
    60_000,
  );

  const many = Buffer.alloc(24 << 20);
  const large: [string, Ask['body']][] = [
    ['bytes', new Uint8Array(many)],
    ['a file', new Blob([many])],
  ];

  test.each(large)(
    '(%s) that stalls is given up soon, and tells no progress meanwhile',
    async (_, body) => {
      const ask = await serve((received) => void received.pause());
      const [told, calls]: [string[], string[]] = [[], []];
      const failing = request(
        { ...ask, body: body as Uint8Array<ArrayBuffer> },
        {
          ...asker,
          patience: 0.7,
          beat: () => void calls.push('beat'),
          heed: () => void calls.push('heed'),
          tell: (message) => void told.push(message),
          pause: () => Promise.reject(new Error('that is enough')),
        },
      );
      await expect(failing).rejects.toThrow('that is enough');
      // 4 MiB of what is sent may be on their way unseen.
      expect(told).toEqual([expect.stringMatching(/no byte for 1\.7 s; trying again/)]);
      // What the system's buffers took, and the last look when the attempt had failed.
      expect(calls.filter((call) => call === 'beat').length).toBeLessThanOrEqual(2);
      expect(calls.filter((call) => call === 'heed').length).toBeGreaterThanOrEqual(2);
    },
    60_000,
  );

  test('that is stopped while it stalls ends at once', async () => {
    const ask = await serve((received) => void received.pause());
    const heed = (): never => {
      throw new Stopped('stopped on request');
    };
    await expect(request({ ...ask, body: new Uint8Array(many) }, { ...asker, heed })).rejects.toThrow(Stopped);
  });

  test('is sent to the end however slowly it is taken, with a beat as bytes go', async () => {
    let [taken, beats] = [0, 0];
    const ask = await serve((received, response) => {
      received.on('data', (piece: Buffer) => {
        taken += piece.length;
        received.pause();
        setTimeout(() => received.resume(), 10);
      });
      received.on('end', () => response.end());
    });
    const began = performance.now();
    const body = new Uint8Array(many.subarray(0, 12 << 20));
    await request({ ...ask, body }, { ...asker, patience: 0.5, beat: () => void beats++ });
    // Longer than without a byte: 1.2 s.
    expect([taken, performance.now() - began > 1200, beats > 1]).toEqual([body.length, true, true]);
  }, 60_000);

  test('whose answer takes long is waited for as long as something comes', async () => {
    const ask = await serve((_received, response) => {
      let left = 8;
      const more = setInterval(() => {
        response.write(' ');
        if (left-- > 0) return;
        clearInterval(more);
        response.end('done');
      }, 150);
    });
    expect((await getText(ask, { ...asker, patience: 0.7 })).trim()).toBe('done');
  });

  test.each([
    ["S3's", '<Error><Code>QuotaExceeded</Code><Message>No room</Message></Error>', 'No room'],
    ["the Hub's", '{"error":"Private storage limit reached"}', 'Private storage limit reached'],
  ])('that is refused is told with %s own words', async (_, body, words) => {
    const ask = await serve((_received, response) => void response.writeHead(403).end(body));
    await expect(request(ask, asker)).rejects.toThrow(
      `answered 403 Forbidden (${words}): there are no credentials, or they may not write it: spec.output.secretRef`,
    );
  });

  test('of a file that is refused before it is sent is told so at once, and not sent again', async () => {
    let requests = 0;
    const ask = await serve((received, response) => {
      requests++;
      response.writeHead(403).end('{"error":"not yours"}', () => received.socket.destroy());
    });
    await expect(request({ ...ask, body: new Blob([Buffer.alloc(30_000_000)]) }, asker)).rejects.toThrow('not yours');
    expect(requests).toBe(1);
  });

  test('of a large file holds little of it in memory, however slowly it is taken', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sent-'));
    const file = join(folder, 'sparse');
    writeFileSync(file, '');
    truncateSync(file, 1 << 27);
    let [taken, most] = [0, 0];
    const before = process.memoryUsage().arrayBuffers;
    const ask = await serve((received, response) => {
      received.on('data', (piece: Buffer) => {
        taken += piece.length;
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      });
      received.on('end', () => response.end());
    });
    await request({ ...ask, body: await openAsBlob(file) }, asker);
    rmSync(folder, { recursive: true });
    expect(taken).toBe(1 << 27);
    expect(most).toBeLessThan(1 << 26);
  }, 60_000);

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
