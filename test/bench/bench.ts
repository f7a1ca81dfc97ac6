import { parseArgs } from 'node:util';
import { runAlone } from './alone.ts';
import { caseNames, cases, duelSteps, type CaseName } from './cases.ts';
import { profile } from './profile.ts';
import { columns, oursHead, oursRow } from './report.ts';

/**
 * `npm run bench`: speed and memory of the trainer at the shape of SmolLM2-135M.
 *
 *   npm run bench                the trainer alone
 *   npm run bench -- --profile   where a step spends its time
 *   ... -- --case hh             one case only: hh, shared, short, lora
 */
const { values } = parseArgs({
  options: { profile: { type: 'boolean', default: false }, case: { type: 'string', multiple: true } },
});
const isCase = (name: string): name is CaseName => name in cases;
const chosen = (values.case ?? caseNames).filter(isCase);
if (chosen.length === 0) throw new Error(`--case is one of ${caseNames.join(', ')}`);

async function alone(): Promise<void> {
  const rows: string[][] = [];
  for (const name of chosen) {
    console.log(cases[name].title);
    rows.push(oursRow(cases[name], duelSteps(cases[name], 'batch 4'), await runAlone(name, cases[name])));
  }
  console.log(columns([oursHead, ...rows]));
}

if (values.profile) await profile(chosen[0] as CaseName, cases[chosen[0] as CaseName]);
else await alone();
