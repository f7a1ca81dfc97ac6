import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { prepareExamples } from '../../examples/prepare.ts';

/**
 * `npm run bench`: the small job on the starter model, as a process of its own. Prints the machine's matmul rate, the time
 * to the first step of the preference stage, the median rate of its steps and the peak memory.
 */
interface Line {
  stage?: string;
  step?: number;
  tokensPerSecond?: number;
  pairsPerSecond?: number;
}

const volumes = mkdtempSync(join(tmpdir(), 'bench-'));
prepareExamples(volumes);
spawnSync('sh', ['scripts/node', 'trainer-image/engine/native/install.ts'], { stdio: ['ignore', 'inherit', 'ignore'] });

const started = performance.now();
const args = ['trainer-image/main.ts', '-f', 'test/fixtures/small-job.yaml', '--volumes', volumes, '--port', '0'];
const child = spawn('sh', ['scripts/node', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
const steps: Line[] = [];
let first: number | undefined;
let peak = 0;
const memory = setInterval(() => {
  try {
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0));
  } catch {
    // Ended meanwhile.
  }
}, 200);
for await (const text of createInterface({ input: child.stdout })) {
  const line = JSON.parse(text) as Line;
  if (line.stage !== 'Training' || !line.step) continue;
  first ??= (performance.now() - started) / 1000;
  steps.push(line);
}
clearInterval(memory);
rmSync(volumes, { recursive: true });
if (steps.length === 0) {
  console.error('bench: the job took no step of the preference stage: see its messages above');
  process.exit(1);
}

const median = (figures: number[]): number => figures.toSorted((a, b) => a - b)[figures.length >> 1] ?? Number.NaN;
const rate = (name: 'tokensPerSecond' | 'pairsPerSecond'): string =>
  median(steps.map((step) => step[name]).filter((figure) => figure !== undefined)).toFixed(1);
console.log(
  `whole job: ${((performance.now() - started) / 1000).toFixed(1)} s, first preference step after ${first?.toFixed(1)} s`,
);
console.log(
  `preference steps (median of ${steps.length}): ${rate('tokensPerSecond')} tokens/s, ${rate('pairsPerSecond')} pairs/s`,
);
console.log(`peak memory: ${(peak / 1024).toFixed(0)} MiB`);
