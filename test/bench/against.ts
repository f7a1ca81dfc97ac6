import { loadavg } from 'node:os';
import {
  duelSteps,
  epochPairs,
  pairsPerStep,
  probeSteps,
  settings,
  type Case,
  type CaseName,
  type Setting,
} from './cases.ts';
import { takeTurns, withSides } from './duel.ts';
import { checkEqualWork, checkHeldOut } from './equal-work.ts';
import { ratioOf, sum } from './figures.ts';
import { startPeer } from './peer.ts';
import type { CaseResult, EpochResult, EpochSide, Probe } from './results.ts';
import { startOurs, type Side, type StepFigures } from './side.ts';
import { jobFile, volumes, writeWorkload, type Workload } from './workload.ts';

const slug = (text: string): string => text.replaceAll(' ', '-');

/** TRL alone in one of its settings: two steps after the first. */
async function probe(name: CaseName, measured: Case, setting: Setting): Promise<Probe> {
  const steps = probeSteps(measured, setting);
  const workload: Workload = { name: `probe-${name}-${slug(setting)}`, steps, lora: measured.lora };
  writeWorkload(workload);
  const trl = startPeer(workload, setting);
  const { trl: taken } = await withSides({ trl }, async () => {
    await trl.next('ready');
    return takeTurns({ trl }, steps.length, () => {});
  });
  const seconds = sum(taken.slice(1).map((step) => step.seconds));
  console.log(`  TRL, ${setting}: ${seconds.toFixed(1)} s for two steps`);
  return { seconds, peakMiB: Math.max(...taken.map(({ peakMiB }) => peakMiB)) };
}

function tellRound(round: number, { trl, ours }: { trl: StepFigures; ours: StepFigures }): void {
  const [wall, cpu] = [trl.seconds / ours.seconds, trl.cpuSeconds / ours.cpuSeconds];
  const times = `TRL ${trl.seconds.toFixed(2)} s, ours ${ours.seconds.toFixed(2)} s`;
  console.log(`  round ${round}: ${times}: ${wall.toFixed(2)} times, ${cpu.toFixed(2)} in CPU seconds`);
}

type Duel = Omit<CaseResult, 'probes'>;

/** Lets both sides take the same steps in turns. Throws when they do not come to the same. */
async function duel(name: CaseName, measured: Case, setting: Setting): Promise<Duel> {
  console.log(`  against TRL, ${setting}`);
  const steps = duelSteps(measured, setting);
  // A step more than are taken: who has taken the last one ends, and would disturb the other in its own.
  const workload: Workload = { name: `duel-${name}`, steps: [...steps, ...steps.slice(-1)], lora: measured.lora };
  writeWorkload(workload);
  // One after the other: a side that starts would slow the other.
  const trl = startPeer(workload, setting);
  const sides: { trl: Side; ours?: Side } = { trl };
  return withSides(sides as Record<string, Side>, async () => {
    await trl.next('ready');
    const ours = (sides.ours = startOurs(jobFile(workload), volumes));
    await ours.next('ready');
    const taken = await takeTurns({ trl, ours }, steps.length, tellRound);
    checkEqualWork(taken.trl, taken.ours);
    return { setting, ...taken, load: loadavg()[0] as number };
  });
}

const timesFaster = ({ trl, ours }: Duel): number => ratioOf(trl, ours, ({ seconds }) => seconds).overall;

/** Two steps alone differ by so much from one time to the next, or less: settings nearer to the fastest may be as fast. */
const probesDiffer = 1.1;

/** Those of TRL's settings that may be its fastest; the ones that are there for their memory are not asked. */
export function rivals(probes: CaseResult['probes']): Setting[] {
  const inSpeed = (Object.entries(probes) as [Setting, Probe][]).filter(([setting]) => settings[setting].keepsPages);
  const least = Math.min(...inSpeed.map(([, { seconds }]) => seconds));
  return inSpeed.filter(([, { seconds }]) => seconds <= least * probesDiffer).map(([setting]) => setting);
}

/** Measures a case against whichever of TRL's settings turns out the fastest beside ours. */
export async function measureCase(name: CaseName, measured: Case): Promise<CaseResult> {
  console.log(measured.title);
  const probes: CaseResult['probes'] = {};
  for (const setting of measured.settings) probes[setting] = await probe(name, measured, setting);
  const duels: Duel[] = [];
  for (const setting of rivals(probes)) duels.push(await duel(name, measured, setting));
  const [hardest] = duels.toSorted((a, b) => timesFaster(a) - timesFaster(b)) as [Duel];
  return { ...hardest, probes };
}

async function runEpoch(side: Side, steps: number): Promise<EpochSide> {
  const { referenceSeconds } = await side.next('ready');
  const taken: number[] = [];
  for (let step = 1; step <= steps; step++) taken.push((await side.next('step')).seconds);
  const { heldOutLoss } = await side.next('end');
  return { referenceSeconds, trainSeconds: sum(taken), heldOutLoss };
}

/** An epoch of 64 pairs by each side, one after the other, with its reference pass; then the loss of the same held-out pairs. */
export async function measureEpoch(setting: Setting): Promise<EpochResult> {
  console.log('an epoch to its end');
  const { train, heldOut } = epochPairs(setting);
  const count = train.length / pairsPerStep;
  const steps = Array.from({ length: count }, (_, i) => train.slice(i * pairsPerStep, (i + 1) * pairsPerStep));
  const workload: Workload = { name: 'epoch', steps, heldOut };
  writeWorkload(workload);
  const alone = (side: Side): Promise<EpochSide> => withSides({ side }, () => runEpoch(side, count));
  const trl = await alone(startPeer(workload, setting, ['--epoch']));
  const ours = await alone(startOurs(jobFile(workload), volumes, ['--epoch']));
  checkHeldOut(trl.heldOutLoss, ours.heldOutLoss);
  return { setting, pairs: train.length, trl, ours };
}
