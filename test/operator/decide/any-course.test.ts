import { expect, test } from '@jest/globals';
import { array, assert, constantFrom, property } from 'fast-check';
import { decide } from '../../../operator/decide/decide.ts';
import type { Observation, ObservedJob } from '../../../operator/decide/observation.ts';
import { aChild, after, aJob, endedPod, observed, start } from '../observed.ts';

test('whatever users and pods do: at most one Job lives, terminal stays terminal, the attempt never falls', () => {
  const step = constantFrom('suspend', 'resume', 'gone', 'lost', 'complete', 'fail', 'exit75', 'exit1', 'wait');
  assert(
    property(array(step, { maxLength: 40 }), (steps) => {
      const world: Observation = observed(aJob());
      let ended: string | undefined;
      steps.forEach((what, index) => {
        const before = world.job.status?.attempt ?? 0;
        play(world, what, index);
        const decision = decide(world, after(index * 20));
        world.job.status = decision.status;
        apply(world, decision.actions);
        expect(world.jobs.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length).toBeLessThan(2);
        expect(world.jobs.length).toBeLessThan(2);
        expect(decision.status.attempt ?? 0).toBeGreaterThanOrEqual(before);
        if (ended !== undefined) {
          expect(decision.status.state).toBe(ended);
          expect(decision.actions.some(({ kind }) => kind === 'create')).toBe(false);
        }
        const terminal = ['Complete', 'Failed'].includes(decision.status.state ?? '');
        ended ??= terminal ? decision.status.state : undefined;
      });
    }),
    { numRuns: 500 },
  );
});

/** What the user or the cluster does. */
function play(world: Observation, what: string, index: number): void {
  const child = world.jobs[0];
  if (what === 'suspend' || what === 'resume') {
    world.job.spec = { ...world.job.spec, suspend: what === 'suspend' };
  } else if (what === 'lost' || (what === 'gone' && child?.metadata.deletionTimestamp !== undefined)) {
    world.jobs = [];
    world.pods = [];
  } else if (child !== undefined) {
    end(world, child, what, index);
  }
}

/** How a Job or its pod ends. */
function end(world: Observation, child: ObservedJob, what: string, index: number): void {
  if (what === 'complete' || what === 'fail') {
    child.status ??= { conditions: [{ type: what === 'fail' ? 'Failed' : 'Complete', status: 'True' }] };
  } else if (what.startsWith('exit')) {
    world.pods = [...world.pods, endedPod(`p${index}`, Number(what.slice(4)), index * 20 - 1)];
  }
}

/** What the API server does with the actions. */
function apply(world: Observation, actions: ReturnType<typeof decide>['actions']): void {
  for (const action of actions) {
    if (action.kind === 'create') {
      world.jobs.push(aChild(action.attempt));
    } else if (action.kind === 'deleteJob') {
      const child = world.jobs.find(({ metadata }) => metadata.name === action.name);
      if (child !== undefined) {
        child.metadata.deletionTimestamp = start;
      }
    }
  }
}
