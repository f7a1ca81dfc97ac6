import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sample } from 'fast-check';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startWithCrd } from '../kubectl.ts';
import { dying } from './dying.ts';
import { inTurns } from './in-turns.ts';
import { aLife, playLife } from './random-life.ts';
import type { Spoil } from './proxy.ts';
import { expectSound, name, Site, wholeLife, type Left } from './site.ts';
import { spoils } from './spoils.ts';

/** The operator's controller on a real API server that fails in every way it can. */
jest.setTimeout(180_000);
let plane: ControlPlane;

beforeAll(async () => {
  plane = await startWithCrd();
  // Without one pods have no node, and no word of it.
  plane.signal('kube-scheduler', 'SIGKILL');
});
afterAll(async () => {
  await Site.closeAll();
  plane?.stop();
});

type Life = (site: Site) => Promise<Left>;
const spoiled =
  (spoil: Spoil): Life =>
  (site) => {
    site.proxy.fault = spoil;
    site.start();
    return wholeLife(site);
  };

/** Lives that are disturbed in another way than by the answers to requests. */
const disturbed: Record<string, Life> = {
  'two operators work at once': (site) => {
    site.start();
    site.start();
    return wholeLife(site);
  },
  'the clock jumps an hour ahead and back': (site) => {
    let ahead = 0;
    site.start({ now: () => new Date(Date.now() + ahead).toISOString() });
    const jump = async (): Promise<void> => void (ahead = ahead === 0 ? 3_600_000 : 0);
    return wholeLife(site, jump);
  },
  'its Job is deleted by hand: it is made again': async (site) => {
    site.start();
    await site.apply();
    const first = await site.pod(1);
    await site.run(first);
    await site.until('Running', () => site.status.state === 'Running');
    await site.api.delete(site.path.job(`${name}-1`));
    await site.until('another pod', () => site.live(1).some(({ metadata }) => metadata.uid !== first.metadata.uid));
    await site.end(await site.pod(1), 0);
    await site.until('Complete', () => site.status.state === 'Complete');
    return { status: { state: 'Complete', attempt: 1, restarts: 0 }, made: [`${name}-1`, `${name}-1`] };
  },
  'its ConfigMap is deleted by hand: the next attempt has its own': async (site) => {
    site.start();
    return wholeLife(site, async () => {
      await site.until('an attempt', () => site.status.attempt !== undefined);
      const path = site.path.core('configmaps', `${name}-${site.status.attempt}`);
      await site.api.delete(path).catch(() => undefined);
    });
  },
  'the labels of its Job are taken away by hand: it says so, and sees it again once they are back': async (site) => {
    site.start();
    await site.apply();
    const pod = await site.pod(1);
    const path = site.path.job(`${name}-1`);
    const made = (await site.api.get(path)) as { metadata: { labels: Record<string, string> } };
    const label = 'training.dpo-operator.io/dpojob';
    await site.api.patch(path, { metadata: { labels: { [label]: null } } });
    await site.until('said', () => /Job run-1 has lost labels/.test(site.status.message ?? ''));
    await site.end(pod, 0);
    await site.api.patch(path, { metadata: { labels: { [label]: made.metadata.labels[label] } } });
    await site.until('Complete', () => site.status.state === 'Complete');
    return { status: { state: 'Complete', attempt: 1, restarts: 0 }, made: [`${name}-1`] };
  },
};

/** Calls that an operator makes in a whole life, the answer to each of which it may die for. */
const callsOfALife = 20;
const deaths = Object.fromEntries(
  Array.from({ length: callsOfALife }, (_, i) => i + 1).flatMap((nth) =>
    (['before', 'after'] as const).map((moment): [string, Life] => [
      `the operator dies at call ${nth} of its life, ${moment} it took effect, and another takes over`,
      async (site) => {
        const { cluster, died } = dying(site.cluster, nth, moment);
        const first = site.start({ cluster });
        void died.then(() => [first.stop(), site.start()]);
        const left = await wholeLife(site);
        await died;
        return left;
      },
    ]),
  ),
);

const lives: Record<string, Life> = {
  ...Object.fromEntries(Object.entries(spoils).map(([title, spoil]) => [title, spoiled(spoil)])),
  ...disturbed,
  ...deaths,
};

describe('a job lives its whole life and nothing is made twice, lost or wrongly said, although', () => {
  const played = new Map<string, Promise<{ site: Site; left: Left }>>();

  beforeAll(() => {
    const tasks = Object.values(lives).map((life, i) => async () => {
      const site = await Site.open(plane, `life-${i}`);
      return { site, left: await life(site) };
    });
    const running = inTurns(8, tasks);
    Object.keys(lives).forEach((title, i) => played.set(title, running[i] as Promise<{ site: Site; left: Left }>));
  });

  test.each(Object.keys(lives))('%s', async (title) => {
    const { site, left } = (await played.get(title)) as { site: Site; left: Left };
    await expectSound(site, left);
    await site.close();
  });
});

const randomLives = 20;
test(`${randomLives} random lives leave a sound job, whatever users, pods, requests and operators did`, async () => {
  // The same lives every time: one of them found a Job that was taken up again while it was deleted. Others: npm run soak.
  const seed = 1754576847;
  const courses = sample(aLife, { numRuns: randomLives, seed });
  const played = inTurns(
    8,
    courses.map((steps, i) => () => playLife(plane, `random-${i}`, steps)),
  );
  const failed = (await Promise.allSettled(played)).flatMap((one, i) =>
    one.status === 'rejected' ? [`seed ${seed}: ${JSON.stringify(courses[i])}: ${String(one.reason)}`] : [],
  );
  expect(failed).toEqual([]);
});

describe('with a control plane that is', () => {
  test('killed and restarted between the steps of a life, the operator goes on', async () => {
    const site = await Site.open(plane, 'restarted');
    site.start();
    await expectSound(site, await wholeLife(site, () => plane.restartApiServer()));
    await site.close();
  });

  test('slow, its etcd being stopped for seconds, the operator goes on', async () => {
    const site = await Site.open(plane, 'slow');
    site.start();
    const stall = async (): Promise<void> => {
      plane.signal('etcd', 'SIGSTOP');
      await sleep(3000);
      plane.signal('etcd', 'SIGCONT');
      await sleep(500);
    };
    await expectSound(site, await wholeLife(site, stall));
    await site.close();
  });
});
