import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { maxProgressBytes } from '../../crds/progress.ts';
import type { Progress } from '../../crds/progress.ts';
import { Answers, pollProgress } from '../../operator/observe.ts';
import { after, runningPod } from './observed.ts';

const progress = (heartbeat: number, podUID = 'a-uid'): Progress => ({
  podUID,
  attempt: 1,
  heartbeat,
  time: after(heartbeat),
  stage: 'Training',
  step: heartbeat,
  totalSteps: 10,
  stageStep: heartbeat,
  stageTotal: 10,
  epoch: 0,
  percent: 0,
  metrics: {},
  warnings: [],
});

/** What the operator takes from a real server on loopback that answers with a status and body. */
async function pollOf(status: number, body: string): Promise<Progress | undefined> {
  const server = createServer((_request, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const pod = runningPod('a');
  pod.status = { ...pod.status, podIP: '127.0.0.1' };
  const answer = await pollProgress(pod, (server.address() as AddressInfo).port);
  server.close();
  return answer;
}

const dropping = (dropped: Record<string, number>): object => ({
  ...progress(3),
  data: { pairs: 1, heldOut: 0, dropped },
});
const reasons = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`Reason${i}`, 1]));

describe("a trainer's word", () => {
  test('is taken with as many reasons as status has room for', async () => {
    expect(await pollOf(200, JSON.stringify(dropping(reasons(64))))).toEqual(dropping(reasons(64)));
  });

  test('is taken when it is what the contract says', async () => {
    expect(await pollOf(200, JSON.stringify(progress(3)))).toEqual(progress(3));
  });

  test.each([
    ['another pod', 200, JSON.stringify(progress(3, 'other-uid'))],
    ['an error', 500, JSON.stringify(progress(3))],
    ['no JSON', 200, '<html>'],
    ['a stage that is none', 200, JSON.stringify({ ...progress(3), stage: 'Sleeping' })],
    ['a reason that is no word', 200, JSON.stringify(dropping({ 'two words': 1 }))],
    ['more reasons than status has room for', 200, JSON.stringify(dropping(reasons(65)))],
    ['a time without seconds', 200, JSON.stringify({ ...progress(3), time: '2026-01-01T00:00Z' })],
    ['too much', 200, JSON.stringify(progress(3)) + ' '.repeat(maxProgressBytes)],
  ])('is not taken from %s', async (_what, status, body) => {
    expect(await pollOf(status, body)).toBeUndefined();
  });
});

describe('answers', () => {
  test('the clock stands where a heartbeat was first seen, and restarts with a new one', () => {
    const answers = new Answers();
    answers.record('job', progress(1), after(0));
    expect(answers.record('job', progress(1), after(9)).heartbeatSince).toBe(after(0));
    expect(answers.record('job', progress(2), after(12)).heartbeatSince).toBe(after(12));
    expect(answers.record('job', progress(2, 'b-uid'), after(15)).heartbeatSince).toBe(after(15));
  });

  test("an earlier attempt's answer is not this one's", () => {
    const answers = new Answers();
    answers.record('job', progress(1), after(0));
    expect(answers.of('job', [runningPod('a')])?.progress.heartbeat).toBe(1);
    expect(answers.of('job', [runningPod('b')])).toBeUndefined();
    answers.forget('job');
    expect(answers.of('job', [runningPod('a')])).toBeUndefined();
  });
});
