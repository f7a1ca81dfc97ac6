import { duelSteps, type Case, type CaseName, type Setting } from './cases.ts';
import { takeTurns, withSides } from './duel.ts';
import { startOurs, type StepFigures } from './side.ts';
import { jobFile, volumes, writeWorkload, type Workload } from './workload.ts';

/** The trainer alone on a case: its steps as in a duel with TRL in this setting. */
export async function runAlone(name: CaseName, measured: Case, setting: Setting): Promise<StepFigures[]> {
  const workload: Workload = { name: `alone-${name}`, steps: duelSteps(measured, setting), lora: measured.lora };
  writeWorkload(workload);
  const ours = startOurs(jobFile(workload), volumes);
  return withSides({ ours }, async () => {
    await ours.next('ready');
    return (await takeTurns({ ours }, workload.steps.length, () => {})).ours;
  });
}
