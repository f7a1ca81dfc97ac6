import { duelSteps, type Case, type CaseName } from './cases.ts';
import { takeTurns, withSides } from './duel.ts';
import { startOurs, type StepFigures } from './side.ts';
import { jobFile, volumes, writeWorkload, type Workload } from './workload.ts';

/** The trainer alone on a case: its steps as in a duel. */
export async function runAlone(name: CaseName, measured: Case): Promise<StepFigures[]> {
  const workload: Workload = { name: `alone-${name}`, steps: duelSteps(measured, 'batch 4'), lora: measured.lora };
  writeWorkload(workload);
  const ours = startOurs(jobFile(workload), volumes);
  return withSides({ ours }, async () => {
    await ours.next('ready');
    return (await takeTurns({ ours }, workload.steps.length, () => {})).ours;
  });
}
