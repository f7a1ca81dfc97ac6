import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { headRows } from '../../trainer-image/model/groups.ts';
import { Learner } from '../../trainer-image/model/learner.ts';
import { architectureOf } from '../../trainer-image/model/models.ts';
import { writeSafetensors } from '../../trainer-image/model/safetensors.ts';
import { weightShapes } from '../../trainer-image/model/weight-shapes.ts';
import type { Lengths } from '../bench/cases.ts';
import { stepWork } from '../bench/work.ts';
import { pairsOf, takeStep } from '../gpu/throughput.ts';
import { trainingOf } from '../trainer-image/golden.ts';
import { asked, type Asked } from './asked.ts';
import type { Way } from './memory.ts';
import { configOf, type ScaleShape } from './shapes.ts';

/** A measured case: bytes at the highest above those before the model was loaded, and work per second of processor time. */
export interface Measured {
  shape: ScaleShape;
  way: Way;
  peak: number;
  flopsPerCpuSecond: number;
}

const statusBytes = (field: 'VmRSS' | 'VmHWM'): number =>
  1024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
const collect = (): void => (globalThis as { gc?: () => void }).gc?.();

/** Some values that bfloat16 holds, as those of published checkpoints. */
function writeWeights(file: string, config: Record<string, unknown>): void {
  const tensors = weightShapes(architectureOf(config)).map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return { name, shape, read: () => Float32Array.from({ length: count }, (_, i) => ((i % 15) - 7) / 256) };
  });
  writeSafetensors(file, tensors);
}

function measure({ shape, way }: Asked): Measured {
  const folder = mkdtempSync(join(tmpdir(), 'scale-'));
  const config = configOf(shape);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeWeights(join(folder, 'model.safetensors'), config);
  const lora = way.rank === undefined ? {} : { lora: { rank: way.rank, alpha: way.rank } };
  const gradientCheckpointing = way.recomputed ?? false;
  const training = trainingOf({
    precision: way.precision,
    microBatchTokens: way.tokens,
    gradientCheckpointing,
    ...lora,
  });
  const lengths = Array.from({ length: way.tokens / 256 }, (): Lengths => [128, 64, 64]);
  const pairs = pairsOf(lengths, shape.vocabulary);
  collect();
  const before = statusBytes('VmRSS');
  const learner = new Learner(folder, training);
  learner.startStage();
  collect();
  // The peak from here on: reading the file is not what a step needs.
  writeFileSync('/proc/self/clear_refs', '5');
  takeStep(learner, pairs, 1);
  const begun = process.cpuUsage();
  takeStep(learner, pairs, 2);
  const { user, system } = process.cpuUsage(begun);
  rmSync(folder, { recursive: true });
  const rows = Math.min(headRows, lengths.length * 128);
  // A prompt of 128 sees itself, an answer of 64 the prompt too.
  const keys = (128 * 128 + 2 * 64 * 192) / 256;
  const work = stepWork(lengths, config as never, way.rank === undefined ? undefined : { rank: way.rank });
  const flopsPerCpuSecond = Math.round(work / ((user + system) / 1e6));
  return { shape, way: { ...way, headRows: rows, keys }, peak: statusBytes('VmHWM') - before, flopsPerCpuSecond };
}

/** Each case in a process of its own, whose memory is its alone. */
export function measureAll(): Measured[] {
  return asked.map((each) => {
    const args = ['--expose-gc', ...process.execArgv, import.meta.filename, JSON.stringify(each)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`measuring ${JSON.stringify(each)} failed:\n${stderr}`);
    console.log(stdout.trim());
    return JSON.parse(stdout) as Measured;
  });
}

if (import.meta.main) console.log(JSON.stringify(measure(JSON.parse(process.argv[2] as string) as Asked)));
