import { createServer, type Server } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, jest, test } from '@jest/globals';
import { printable } from '../../crds/printable.ts';
import { maxProgressBytes, type Progress } from '../../crds/progress.ts';
import { nextStatus } from '../../operator/decide/status.ts';
import { parseTermination } from '../../operator/decide/last-said.ts';
import { lineFormat } from '../../operator/log.ts';
import { pollProgress } from '../../operator/observe.ts';
import { aChild, after, aJob, anAnswer, aRecord, endedPod, observed, play, runningPod } from '../operator/observed.ts';

/** Pods that lie: what they answer, and what they leave when they end, is refused or does no harm. */
jest.setTimeout(30_000);
const escape = String.fromCodePoint(27);
/** Where winston keeps a line and its level. */
const [MESSAGE, LEVEL] = [Symbol.for('message'), Symbol.for('level')];
const nul = String.fromCodePoint(0);
const good = aRecord('a', 3);
const text = JSON.stringify(good);

/** What the operator takes of a server on loopback. */
async function pollOf(server: Server | ReturnType<typeof createRawServer>): Promise<Progress | undefined> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const pod = runningPod('a');
  pod.status = { ...pod.status, podIP: '127.0.0.1' };
  const answer = await pollProgress(pod, (server.address() as AddressInfo).port);
  for (const socket of sockets) socket.destroy();
  server.close();
  return answer;
}
const answering = (body: string | Buffer, headers: Record<string, string> = {}, status = 200): Server =>
  createServer((_request, response) => response.writeHead(status, headers).end(body));
/** Speaks without HTTP's rules. */
const raw = (...pieces: string[]): ReturnType<typeof createRawServer> =>
  createRawServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => pieces.forEach((piece) => socket.write(piece)));
  });
const swapped = (field: string, value: unknown): string => JSON.stringify({ ...good, [field]: value });
/** JSON that JSON.stringify would not write. */
const literal = (field: keyof Progress, written: string): string =>
  text.replace(new RegExp(`"${field}":[^,{[]+`), `"${field}":${written}`);

test('an honest answer is taken', async () => {
  expect(await pollOf(answering(text))).toEqual(good);
});

describe('an answer is not taken', () => {
  test.each<[string, string]>([
    ['of another pod', swapped('podUID', 'other-uid')],
    ['of no pod', swapped('podUID', undefined)],
    ['of a list of pods', swapped('podUID', ['a-uid'])],
    ['that is no JSON', '<html>'],
    ['that is empty', ''],
    ['that is null', 'null'],
    ['that is a list', `[${text}]`],
    ['that is a text', JSON.stringify(text)],
    ['that is two', `${text}${text}`],
    ['with NaN', literal('percent', 'NaN')],
    ['with infinity', literal('percent', '1e999')],
    ['below zero', literal('percent', '-1')],
    ['above all', literal('percent', '101')],
    ['with half a step', literal('step', '0.5')],
    ['with a step beyond whole numbers', literal('step', '9007199254740993')],
    ['with a text for a step', swapped('step', '3')],
    ['with a truth for a step', swapped('step', true)],
    ['with a list for a step', swapped('step', [3])],
    ['with a stage that is none', swapped('stage', 'Sleeping')],
    ['with a stage named as what every object has', swapped('stage', 'constructor')],
    ['with a time that is none', swapped('time', 'yesterday')],
    ['with a time and a line end', swapped('time', '2026-01-01T00:00:00Z\n')],
    ['with infinity for a figure', text.replace('"beta":0.1', '"beta":1e999')],
    ['with a text for a figure', swapped('metrics', { loss: '0.5' })],
    ['with a list for figures', swapped('metrics', [])],
    ['with null for figures', swapped('metrics', null)],
    ['with a reason of two words', swapped('warnings', [{ reason: 'Two Words', message: '' }])],
    ['with a reason that ends a label', swapped('warnings', [{ reason: 'X"} 1\nfake 1', message: '' }])],
    ['with a reason of a terminal’s', swapped('warnings', [{ reason: `X${escape}[2J`, message: '' }])],
    ['with a long reason', swapped('warnings', [{ reason: 'X'.repeat(64), message: '' }])],
    ['with a long warning', swapped('warnings', [{ reason: 'X', message: 'x'.repeat(513) }])],
    [
      'with many warnings',
      swapped(
        'warnings',
        Array.from({ length: 17 }, (_, i) => ({ reason: `X${i}`, message: '' })),
      ),
    ],
    [
      'with many reasons',
      swapped('data', {
        pairs: 1,
        heldOut: 0,
        dropped: Object.fromEntries([...Array(65).keys()].map((i) => [`R${i}`, 1])),
      }),
    ],
    [
      'with a reason that is a prototype',
      `${text.slice(0, -1)},"data":{"pairs":1,"heldOut":0,"dropped":{"__proto__x":1}}}`,
    ],
    ['with a long place of the output', swapped('output', { source: 'x'.repeat(1025), digest: '' })],
    ['with a long report', swapped('report', 'x'.repeat(1025))],
    ['that is deep', `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`],
    ['that is one byte too long', text + ' '.repeat(maxProgressBytes + 1 - text.length)],
  ])('%s', async (_, body) => {
    expect(await pollOf(answering(body))).toBeUndefined();
  });

  // At once: each that never ends is waited for.
  test.concurrent.each<[string, () => Server | ReturnType<typeof createRawServer>]>([
    ['that is an error', () => answering(text, {}, 500)],
    ['that leads elsewhere', () => answering(text, { location: 'http://169.254.169.254/' }, 302)],
    [
      'that is compressed, and would be large',
      () => answering(gzipSync(Buffer.alloc(1 << 24)), { 'content-encoding': 'gzip' }),
    ],
    [
      'of a gigabyte, as it says',
      () => raw('HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n', 'x'.repeat(1 << 20)),
    ],
    [
      'without end, in pieces',
      () =>
        raw(
          'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
          ...Array<string>(40).fill(`400\r\n${'x'.repeat(1024)}\r\n`),
        ),
    ],
    ['with headers without end', () => raw('HTTP/1.1 200 OK\r\n', `x-a: ${'x'.repeat(1 << 17)}\r\n`)],
    ['that is no HTTP', () => raw('SSH-2.0-OpenSSH_9.2\r\n')],
    ['that is cut', () => raw(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text.slice(0, 50)}`)],
    ['that begins and never ends', () => raw('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{')],
    ['that never begins', () => raw()],
  ])('%s', async (_, serve) => {
    const started = performance.now();
    expect(await pollOf(serve())).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test.each<[string, object]>([
    ['of a pod without an address', { phase: 'Running' }],
    ['of a pod that ended', { phase: 'Failed', podIP: '127.0.0.1' }],
    ['of an address that is none', { phase: 'Running', podIP: '127.0.0.1/../x' }],
  ])('%s', async (_, status) => {
    expect(await pollProgress({ ...runningPod('a'), status }, 9)).toBeUndefined();
  });
});

describe('what is unknown in an answer goes no further', () => {
  test.each([
    ['a field', '"extra":"x"'],
    ['a prototype', '"__proto__":{"polluted":true}'],
    ['a constructor', '"constructor":{"prototype":{"polluted":true}}'],
    ['a state of its own', '"state":"Complete","conditions":[]'],
    ['the same field before', '"podUIDx":"other","stageX":"Done"'],
  ])('%s', async (_, more) => {
    expect(await pollOf(answering(`{${more},${text.slice(1)}`))).toEqual(good);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

/** Texts that would act on a terminal, or look like lines of another's. */
const acting: [string, string][] = [
  ['an escape sequence', `a${escape}[2Jb`],
  ['a title for the window', `a${escape}]0;b\u0007`],
  ['a control character of 8 bits', 'a\u009B31mb'],
  ['a NUL', `a${nul}b`],
  ['a bell', 'a\u0007b'],
  ['a step back', 'a\bb'],
  ['a line end', 'a\nState: Complete'],
  ['a return to the line’s start', 'a\rState: Complete'],
  ['a separator of lines', 'a\u2028State: Complete'],
  ['a mark that turns the line round', 'a\u202Eb'],
  ['an isolate that turns it round', 'a\u2066b'],
  ['half a character', 'a\uD800b'],
];
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const acts = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/;

describe('a text that acts on a terminal is made harmless', () => {
  test.each(acting)('%s in a warning of a running trainer', async (_, message) => {
    const answer = await pollOf(answering(swapped('warnings', [{ reason: 'X', message }])));
    expect(answer?.warnings[0]?.message).not.toMatch(acts);
    expect(answer?.warnings[0]?.message).toMatch(/^a/);
  });

  test.each(acting)('%s in what a trainer leaves, and in what the kubelet kept of its output', (_, message) => {
    for (const left of [JSON.stringify({ reason: 'InvalidData', message }), message]) {
      const pods = [endedPod('a', 65, 5, left)];
      const status = nextStatus(observed(aJob(), { jobs: [aChild(1)], pods }), { phase: 'Active' }, after(9));
      expect(status.lastFailure?.message).toMatch(/^a/);
      expect(status.lastFailure?.message).not.toMatch(acts);
    }
  });

  test.each(acting)('%s in a line of the operator’s log', (_, message) => {
    const info = lineFormat.transform({ level: 'warn', [LEVEL]: 'warn', message, dpojob: message }) as Record<
      symbol,
      unknown
    >;
    const line = String(info[MESSAGE]);
    expect(line).not.toMatch(acts);
    expect(line).not.toMatch(/\\u001b|\\n/);
    expect((JSON.parse(line) as { message: string }).message).toMatch(/^a/);
  });
});

describe('a termination message', () => {
  test.each<[string, string]>([
    ['that is empty', ''],
    ['that is no JSON', 'Segmentation fault'],
    ['that is null', 'null'],
    ['that is a list', '[]'],
    ['that is cut', '{"reason":"Complete","mess'],
    ['without a reason', '{"message":"x"}'],
    ['with a number for a reason', '{"reason":1,"message":"x"}'],
    ['with a reason of two words', '{"reason":"All is well","message":"x"}'],
    ['with a reason that ends a label', JSON.stringify({ reason: 'X"} 1\nfake', message: 'x' })],
    ['with a long reason', JSON.stringify({ reason: 'X'.repeat(64), message: '' })],
    ['with a long message', JSON.stringify({ reason: 'X', message: 'x'.repeat(1025) })],
    ['with a record that is none', '{"reason":"X","message":"","progress":{"step":-1}}'],
    ['that is deep', `${'['.repeat(2000)}${']'.repeat(2000)}`],
  ])('%s is not taken, and the job goes on to its end', (_, left) => {
    expect(parseTermination(left)).toBeUndefined();
    const pods = [endedPod('a', 65, 5, left)];
    const status = nextStatus(observed(aJob(), { jobs: [aChild(1)], pods }), { phase: 'Active' }, after(9));
    expect(status.lastFailure).toMatchObject({ reason: 'InvalidData', exitCode: 65 });
  });

  test('of another pod’s record changes no figure', () => {
    const left = JSON.stringify({ reason: 'InvalidData', message: 'm', progress: aRecord('other', 99) });
    const status = nextStatus(
      observed(aJob(), { jobs: [aChild(1)], pods: [endedPod('a', 65, 5, left)] }),
      { phase: 'Active' },
      after(9),
    );
    expect([status.progress, status.lastFailure?.message]).toEqual([undefined, 'm']);
  });

  test.each(['NodeLost', 'Complete', 'Running', 'BackoffLimitExceeded', 'OOMKilled', 'Constructor', 'ToString'])(
    'that names a failure which only others can tell (%s) gives it no name, and is counted once',
    (reason) => {
      const seen = { jobs: [aChild(1)], pods: [endedPod('a', 2, 5, JSON.stringify({ reason, message: '' }))] };
      const looks = [9, 10, 11].map((seconds): [number, typeof seen] => [seconds, seen]);
      const { status } = play(aJob(), [[0, {}], ...looks]);
      expect(status).toMatchObject({ restarts: 1, lastFailure: { reason: 'Error', exitCode: 2 } });
    },
  );

  test('that names a failure of trainers gives it to an exit code without a name', () => {
    const pods = [endedPod('a', 2, 5, JSON.stringify({ reason: 'DiskFull', message: '' }))];
    const status = nextStatus(observed(aJob(), { jobs: [aChild(1)], pods }), { phase: 'Active' }, after(9));
    expect(status.lastFailure?.reason).toBe('DiskFull');
  });

  test('that claims success does not make a failure one', () => {
    const left = JSON.stringify({
      reason: 'Complete',
      message: 'trained',
      progress: aRecord('a', 100, { stage: 'Done' }),
    });
    const pods = [endedPod('a', 65, 5, left)];
    const status = nextStatus(observed(aJob(), { jobs: [aChild(1)], pods }), { phase: 'Active' }, after(9));
    expect(status.state).not.toBe('Complete');
    expect(status.lastFailure?.reason).toBe('InvalidData');
  });

  test('nor does the answer of a trainer that says it is done', () => {
    const answer = anAnswer(aRecord('a', 100, { stage: 'Done', percent: 100 }));
    const status = nextStatus(
      observed(aJob(), { jobs: [aChild(1)], pods: [runningPod('a')], answer }),
      { phase: 'Active' },
      after(9),
    );
    expect(status.state).toBe('Running');
  });
});

describe('what takes long to read does not hold the operator up:', () => {
  const spent = (work: () => void): number => {
    const started = performance.now();
    work();
    return performance.now() - started;
  };

  test.each([' ', '\t', '\u00A0', ' a', ' \n', '\r'])('a text of %j alone', (one) => {
    expect(spent(() => printable(one.repeat(100_000)))).toBeLessThan(500);
  });

  test('what a thousand pods of an attempt left is parsed once, however often it is looked at', () => {
    const left = JSON.stringify({ reason: 'InternalError', message: ' '.repeat(1024) });
    const pods = Array.from({ length: 1000 }, (_, i) => endedPod(`p${i}`, 1, 7, left));
    const read = jest.spyOn(JSON, 'parse');
    try {
      const seen = { jobs: [aChild(1)], pods };
      play(aJob(), [
        [0, {}],
        [9, seen],
        [10, seen],
      ]);
      expect(read).toHaveBeenCalledTimes(pods.length);
    } finally {
      read.mockRestore();
    }
  });
});

test('texts of all languages stay as they are', () => {
  for (const one of ['naïve 日本語 😀', 'שלום', 'a\tb'.replace('\t', ' '), "it's “so”"])
    expect(printable(one)).toBe(one);
});
