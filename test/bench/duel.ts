import type { Side, StepFigures } from './side.ts';

/** Lets the sides take their steps in turns, one step each; whoever waits sleeps. */
export async function takeTurns<K extends string>(
  sides: Record<K, Side>,
  rounds: number,
  told: (round: number, figures: Record<K, StepFigures>) => void,
): Promise<Record<K, StepFigures[]>> {
  const names = Object.keys(sides) as K[];
  const taken = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, StepFigures[]>;
  for (let round = 1; round <= rounds; round++) {
    for (const name of names) taken[name].push(await sides[name].step());
    told(round, Object.fromEntries(names.map((name) => [name, taken[name].at(-1)])) as Record<K, StepFigures>);
  }
  return taken;
}

/** Runs `use` and ends the sides, also when it throws. */
export async function withSides<K extends string, T>(sides: Record<K, Side>, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    for (const side of Object.values<Side>(sides)) await side.end();
  }
}
