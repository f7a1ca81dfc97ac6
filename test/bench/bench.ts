import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureCase, measureEpoch } from './against.ts';
import { runAlone } from './alone.ts';
import { caseNames, cases, duelSteps, type CaseName } from './cases.ts';
import { trl } from './peer.ts';
import { profile } from './profile.ts';
import { benchChurn, benchScale } from './scale/scale.ts';
import { columns, comparison, oursHead, oursRow, ratioHead, ratioRow } from './report.ts';
import { withEarlier } from './runs.ts';
import { allCommitted, commit, isComplete, openResults, readCommitted, save, type Results } from './results.ts';
import { writePerformance } from './performance.ts';

/**
 * `npm run bench`: speed and memory of the trainer at the shape of SmolLM2-135M.
 *
 *   npm run bench                the trainer alone, beside the last result that was committed on such a machine
 *   npm run bench -- --peer      in turns with TRL, at most an hour; goes on where it was stopped; writes docs/performance.md
 *   npm run bench -- --profile   where a step spends its time
 *   ... -- --case hh             one case only: hh, shared, short, lora
 *   npm run bench -- --scale     the operator with up to 5,000 DPOJobs; writes docs/scale-operator.md
 *   ... -- --scale --churn 60    its memory while DPOJobs come and go for so many minutes
 */
const { values } = parseArgs({
  options: {
    peer: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true },
    scale: { type: 'boolean', default: false },
    churn: { type: 'string' },
  },
});
const isCase = (name: string): name is CaseName => name in cases;
const chosen = (values.case ?? caseNames).filter(isCase);
if (chosen.length === 0) throw new Error(`--case is one of ${caseNames.join(', ')}`);
/** No case is begun later. */
const lastStart = performance.now() + 50 * 60_000;

async function alone(): Promise<void> {
  const last = readCommitted();
  const rows: string[][] = [];
  for (const name of chosen) {
    console.log(cases[name].title);
    const before = last?.cases[name];
    const setting = before?.setting ?? 'batch 4';
    const taken = await runAlone(name, cases[name], setting);
    rows.push([...oursRow(cases[name], duelSteps(cases[name], setting), taken), comparison(taken, before?.ours)]);
  }
  console.log(columns([[...oursHead, 'against the last result'], ...rows]));
}

async function measureMissing(results: Results): Promise<void> {
  for (const name of chosen) {
    if (results.cases[name] !== undefined) continue;
    if (performance.now() > lastStart) return console.log('the hour is nearly over: run it again for what is missing');
    results.cases[name] = await measureCase(name, cases[name]);
    save(results);
  }
  const { hh } = results.cases;
  if (hh === undefined || results.epoch !== undefined || performance.now() > lastStart) return;
  results.epoch = await measureEpoch(hh.setting);
  save(results);
}

/** TRL and the trainer are both in memory during a duel: 19 GiB and 2, or 17 and 4. */
function checkMemory(): void {
  const available = Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) / 1024 ** 2;
  if (available < 21) throw new Error(`--peer needs 21 GiB of memory and ${available.toFixed(0)} are free`);
}

async function againstPeer(): Promise<void> {
  checkMemory();
  const results = openResults({ trl });
  await measureMissing(results);
  const rows = chosen.flatMap((name) => {
    const measured = results.cases[name];
    return measured === undefined ? [] : [ratioRow(cases[name], measured)];
  });
  console.log(columns([ratioHead, ...rows]));
  if (!isComplete(results)) return;
  commit(withEarlier(results, readCommitted()));
  writePerformance(allCommitted());
}

if (values.scale) await (values.churn === undefined ? benchScale() : benchChurn(Number(values.churn)));
else if (values.profile) await profile(chosen[0] as CaseName, cases[chosen[0] as CaseName]);
else if (values.peer) await againstPeer();
else await alone();
