import { check, property, sample } from 'fast-check';
import { inTurns } from '../integration/faults/in-turns.ts';
import { aLife, playLife } from '../integration/faults/random-life.ts';
import { startWithCrd } from '../integration/kubectl.ts';
import { playCourse } from '../operator/decide/courses.ts';
import { aCourse } from '../operator/decide/steps.ts';

export interface OperatorSoak {
  courses: number;
  lives: number;
  seed: number;
}

/** Plays both, prints what they led to and each that broke a rule, and answers whether none did. */
export async function soakOperator({ courses, lives, seed }: OperatorSoak): Promise<boolean> {
  console.log(`seed ${seed}`);
  const decided = soakDecisions(courses, seed);
  const failed = await soakLives(lives, seed);
  console.log(`${lives} lives on a real API server, ${failed} of them unsound`);
  return decided && failed === 0;
}

function soakDecisions(courses: number, seed: number): boolean {
  const ends: Record<string, number> = {};
  const isSound = property(aCourse, (steps) => {
    const course = playCourse(steps);
    ends[course.summary()] = (ends[course.summary()] ?? 0) + 1;
    return course.problems.length === 0;
  });
  const { failed, numRuns, counterexample } = check(isSound, { numRuns: courses, seed });
  console.log(`${numRuns} courses against the decisions: ${JSON.stringify(ends)}`);
  if (failed) console.log(JSON.stringify(counterexample), playCourse(counterexample?.[0] ?? []).problems);
  return !failed;
}

async function soakLives(lives: number, seed: number): Promise<number> {
  const plane = await startWithCrd();
  let failed = 0;
  try {
    // Without a scheduler pods have no node, and no word of it.
    plane.signal('kube-scheduler', 'SIGKILL');
    const steps = sample(aLife, { numRuns: lives, seed });
    const played = inTurns(
      8,
      steps.map((life, i) => () => playLife(plane, `random-${i}`, life)),
    );
    for (const [i, life] of played.entries()) {
      await life.catch((error: unknown) => {
        failed += 1;
        console.log(`life ${i}: ${JSON.stringify(steps[i])}: ${String(error)}`);
      });
    }
  } finally {
    plane.stop();
  }
  return failed;
}
