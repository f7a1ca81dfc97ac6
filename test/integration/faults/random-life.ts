import { equal, ok } from 'node:assert/strict';
import { array, constant, constantFrom, oneof, record, type Arbitrary } from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { Spec } from './api.ts';
import type { RunningOperator } from './operator.ts';
import { expectSound, name, Site } from './site.ts';
import { spoils } from './spoils.ts';

type Step =
  | { do: 'suspend' }
  | { do: 'resume' }
  | { do: 'run' }
  | { do: 'drain' }
  | { do: 'deleteJob' }
  | { do: 'replaceOperator' }
  | { do: 'heal' }
  | { do: 'exit'; code: number }
  | { do: 'change'; spec: Spec }
  | { do: 'spoil'; by: string };

const aStep: Arbitrary<Step> = oneof(
  {
    weight: 5,
    arbitrary: record({ do: constantFrom('suspend', 'resume', 'run', 'heal') }) as Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: record({ do: constantFrom('drain', 'deleteJob', 'replaceOperator') }) as Arbitrary<Step>,
  },
  { weight: 1, arbitrary: record({ do: constant('exit' as const), code: constantFrom(0, 1, 65, 69, 75, 137, 143) }) },
  {
    weight: 1,
    arbitrary: record({
      do: constant('change' as const),
      spec: constantFrom<Spec>({ backoffLimit: 0 }, { backoffLimit: 6 }, { activeDeadlineSeconds: 600 }),
    }),
  },
  { weight: 2, arbitrary: record({ do: constant('spoil' as const), by: constantFrom(...Object.keys(spoils)) }) },
);
/** What may become of a DPOJob on a real API server. */
export const aLife: Arbitrary<{ step: Step; milliseconds: number }[]> = array(
  record({ step: aStep, milliseconds: constantFrom(0, 50, 500, 2000) }),
  { minLength: 4, maxLength: 10, size: 'max' },
);

const isOver = (site: Site): boolean => ['Complete', 'Failed'].includes(site.status.state ?? '');

/** Plays a life, lets it come to its end and checks what it left. */
export async function playLife(
  plane: ControlPlane,
  namespace: string,
  steps: readonly { step: Step; milliseconds: number }[],
): Promise<void> {
  const site = await Site.open(plane, namespace);
  const play = new Play(site);
  await site.apply();
  for (const { step, milliseconds } of steps) {
    await play.step(step);
    await sleep(milliseconds);
  }
  await play.end();
  await site.close();
}

class Play {
  readonly #site: Site;
  #operator: RunningOperator;
  #deleted = 0;

  constructor(site: Site) {
    this.#site = site;
    this.#operator = site.start();
  }

  async step(step: Step): Promise<void> {
    const site = this.#site;
    if (step.do === 'suspend' || step.do === 'resume') await site.change({ suspend: step.do === 'suspend' });
    else if (step.do === 'change') await site.change(step.spec);
    else if (step.do === 'heal') site.proxy.fault = () => undefined;
    else if (step.do === 'spoil') site.proxy.fault = spoils[step.by] ?? (() => undefined);
    else if (step.do === 'replaceOperator') await this.#replace();
    else if (step.do === 'deleteJob') await this.#deleteJob();
    else await this.#toPod(step);
  }

  /** Without faults any more the job is stopped and resumed, ends well, and no rule was broken on the way. */
  async end(): Promise<void> {
    const site = this.#site;
    site.proxy.fault = () => undefined;
    if (!isOver(site)) await site.change({ suspend: true });
    await site.until('Suspended or over', () => isOver(site) || site.isTrue('Suspended'));
    if (!isOver(site)) {
      const before = site.status.attempt ?? 0;
      await site.change({ suspend: false });
      await site.until('the next attempt', () => (site.status.attempt ?? 0) > before);
      await site.end(await site.pod(before + 1), 0);
      await site.until('Complete', () => site.status.state === 'Complete');
    }
    await site.until('seen', () => site.status.observedGeneration === site.job?.metadata.generation);
    const made = site.witness.madeNames();
    await expectSound(site, { status: {}, made });
    ok(made.length - new Set(made).size <= this.#deleted, `made twice: ${made.join(', ')}`);
    equal(made.at(-1), `${name}-${site.status.attempt}`);
  }

  /** One after another, as the lease has them. */
  async #replace(): Promise<void> {
    await this.#operator.stop();
    this.#operator = this.#site.start();
  }

  async #deleteJob(): Promise<void> {
    const { path, status } = this.#site;
    const gone = this.#site.api.delete(path.job(`${name}-${status.attempt ?? 0}`));
    await gone.then(
      () => (this.#deleted += 1),
      () => undefined,
    );
  }

  async #toPod(step: Extract<Step, { do: 'exit' | 'run' | 'drain' }>): Promise<void> {
    const site = this.#site;
    const [pod] = site.live(site.status.attempt ?? 0);
    if (pod === undefined) return;
    const taken = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' };
    const acts = {
      run: () => site.run(pod),
      exit: (code: number) => site.end(pod, code),
      drain: () => site.end(pod, 137, { conditions: [taken] }),
    };
    // It may be gone meanwhile.
    await (step.do === 'exit' ? acts.exit(step.code) : acts[step.do]()).catch(() => undefined);
  }
}
