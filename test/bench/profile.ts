import { duelSteps, type Case } from './cases.ts';
import { folder, jobFile, volumes, writeWorkload, type Workload } from './workload.ts';
import type { Line, Profile } from './calls.ts';
import { startOurs } from './side.ts';
import { tokensOf } from './work.ts';

/** Lines of the longest times in each table. */
const longest = 24;

function row({ name, calls, milliseconds, cpuMilliseconds, work }: Line, total: number): string {
  const share = `${((100 * milliseconds) / total).toFixed(1)} %`;
  const rate = work === 0 ? '' : `${(work / milliseconds / 1e6).toFixed(0)} GFLOP/s`;
  const times = [milliseconds, cpuMilliseconds].map((time) => time.toFixed(0).padStart(8));
  return `${name.padEnd(56)}${String(calls).padStart(6)}${times.join('')}${share.padStart(8)}  ${rate}`;
}

function table(lines: readonly Line[], total: number): string {
  const head = `${''.padEnd(56)} calls      ms  CPU ms   share`;
  return [head, ...lines.slice(0, longest).map((line) => row(line, total))].join('\n');
}

const titles: Record<Profile['mode'], string> = {
  recorded: 'as it runs: recorded functions, and operations outside of them',
  'one by one': 'every operation by itself: the same step without recording, which TensorFlow does not rewrite',
};

function show({ mode, byName, byDetail }: Profile, seconds: number): void {
  const total = seconds * 1000;
  const outside = total - byName.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  console.log(`\n${titles[mode]}\n${total.toFixed(0)} ms, of which ${outside.toFixed(0)} ms outside of TensorFlow`);
  console.log(table(byName, total));
  if (mode === 'one by one') console.log(`\nthe same by shape\n${table(byDetail, total)}`);
}

/** Where a step of a case spends its time, by recorded function and by operation. */
export async function profile(name: string, measured: Case): Promise<void> {
  const steps = duelSteps(measured, 'batch 4');
  const typical = steps[2] as (typeof steps)[number];
  const workload: Workload = { name: `profile-${name}`, steps: Array(5).fill(typical), lora: measured.lora };
  writeWorkload(workload);
  console.log(`${measured.title}: a step of ${typical.length} pairs, ${tokensOf(typical)} tokens (${folder})`);
  const side = startOurs(jobFile(workload), volumes, ['--profile']);
  await side.next('ready');
  const taken: number[] = [];
  for (let step = 1; step <= 5; step++) {
    taken.push((await side.step()).seconds);
    if (step === 3 || step === 5) show(await side.next('profile'), taken.at(-1) as number);
  }
  await side.end();
}
