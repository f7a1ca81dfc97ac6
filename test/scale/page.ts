import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stepWork } from '../bench/work.ts';
import type { Lengths } from '../bench/cases.ts';
import type { Measured } from './measure.ts';
import { memoryOf, peakOf, type Way } from './memory.ts';
import { adapterParameters, configOf, models, parameters, type ScaleShape } from './shapes.ts';

const read = (file: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8'));
export const measured = read('measured.json') as Measured[];
const { pairs } = read('../bench/hh-lengths.json') as { pairs: Lengths[] };
const typical = pairs.filter((pair) => pair[0] + Math.max(pair[1], pair[2]) <= 1024);

const rank = 16;
/** Cards by what they hold, in GB as their data sheets count; what the driver and CUDA's libraries take is an estimate. */
const cards = [24, 40, 80, 141];
const [driver, reserve] = [1e9, 0.8];
const budgets = [16_384, 8192, 4096, 2048, 1024];

/** On a GPU groups are padded to one shape: a query is multiplied with all of its group's 1024 rows. */
const gpuWay = (tokens: number, lora: boolean, recomputed = false): Way => ({
  precision: 'bf16',
  tokens,
  headRows: 768,
  keys: 1024,
  recomputed,
  ...(lora ? { rank } : {}),
});

const gigabytes = (bytes: number): string => (bytes / 1e9).toPrecision(bytes < 1e10 ? 2 : 3);
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

/** Most tokens at once that a card of so many GB holds. */
function fitting(model: ScaleShape, lora: boolean, card: number): string {
  const room = card * 1e9 * reserve - driver;
  const most = budgets.find((tokens) => peakOf(memoryOf(model, gpuWay(tokens, lora))) <= room);
  return most === undefined ? '–' : String(most);
}

function memoryRow(name: string, lora: boolean): (string | number)[] {
  const model = models[name] as ScaleShape;
  const { state, gradients, activations, block, head } = memoryOf(model, gpuWay(4096, lora));
  const trained = lora ? adapterParameters(model, rank) : parameters(model);
  const again = memoryOf(model, gpuWay(4096, lora, true)).activations;
  const parts = [state + gradients, activations, again, block, head, peakOf(memoryOf(model, gpuWay(4096, lora)))];
  const fits = cards.map((card) => fitting(model, lora, card));
  return [
    name,
    lora ? `LoRA, rank ${rank}` : 'all weights',
    `${(trained / 1e6).toFixed(0)}M`,
    ...parts.map(gigabytes),
    ...fits,
  ];
}

/** Floating point operations of training on a typical pair, with its share of the reference pass (a forward alone). */
function workOfPair(model: ScaleShape, lora: boolean): number {
  const config = configOf(model) as unknown as Parameters<typeof stepWork>[1];
  const step = (how?: { rank: number }): number => stepWork(typical, config, how) / typical.length;
  return step(lora ? { rank } : undefined) + step() / 3;
}

const hours = (seconds: number): string => (seconds / 3600).toPrecision(2);
/** Of a core that measured: the best of the float32 steps with all weights trained. */
const cpuRate = Math.max(
  ...measured
    .filter(({ way }) => way.precision === 'fp32' && way.rank === undefined)
    .map(({ flopsPerCpuSecond }) => flopsPerCpuSecond),
);
const gpuRate = 0.4 * 989e12;

function timeRow(name: string, lora: boolean): string[] {
  const work = workOfPair(models[name] as ScaleShape, lora);
  const of10000 = (rate: number): string => hours((10_000 * work) / rate);
  return [name, lora ? 'LoRA' : 'all weights', (work / 1e12).toPrecision(2), of10000(gpuRate), of10000(8 * cpuRate)];
}

function checkRow({ shape, way, peak }: Measured): (string | number)[] {
  const worked = peakOf(memoryOf(shape, way));
  const size = `${shape.layers} x ${shape.hidden}, vocabulary ${shape.vocabulary}${shape.tied ? '' : ', own head'}`;
  const how = way.rank === undefined ? 'all weights' : `LoRA, rank ${way.rank}`;
  return [
    size,
    `${how}${way.recomputed === true ? ', blocks run again' : ''}`,
    way.precision,
    way.tokens,
    gigabytes(peak),
    gigabytes(worked),
    (worked / peak).toFixed(2),
  ];
}

const both = <T>(f: (name: string, lora: boolean) => T): T[] =>
  Object.keys(models).flatMap((name) => [f(name, false), f(name, true)]);

/** docs/scale.md. */
export function scaleDocs(): string {
  const [low, high] = [Math.min, Math.max].map((f) =>
    f(...measured.map(({ shape, way, peak }) => peakOf(memoryOf(shape, way)) / peak)).toFixed(2),
  );
  return `<!-- Made by \`npm run generate\` from test/scale: do not edit. -->

# What a model needs

Memory of a training step is worked out from the model's shape ([\`test/scale/memory.ts\`](../test/scale/memory.ts) has the formula) and
compared below with what small models took on a CPU: between ${low} and ${high} of it. **No GPU has been measured**: \`npm run gpu\` does that
where there is one.

## Memory on one GPU

\`precision: bf16\`, AdamW, with \`microBatchTokens: 4096\` of pairs of 1024 tokens; GB are 10^9 bytes. The reference is computed before and
takes nothing, nor does it with LoRA. The last columns: the most \`microBatchTokens\` (of 1024, 2048 ... 16384) that a card of so many GB holds when
1 GB goes to the driver and CUDA, and a fifth stays free. The peak is less than the sum: gradients come while activations go, and the head
has done its work when the blocks' backward begins.

${table(
  [
    'model',
    'trained',
    'numbers',
    'weights, gradients, moments',
    'activations',
    'where run again',
    'a block at work',
    'head',
    'peak',
    ...cards.map((card) => `${card} GB`),
  ],
  both(memoryRow),
)}

Weights, gradients and moments are float32, 16 bytes for each number that is trained. Beside adapters the weights of a bfloat16
checkpoint stay bfloat16, 2 bytes each. \`microBatchTokens\` changes no result, nor does \`gradientCheckpointing: true\`, which runs blocks again
instead of keeping their activations: a third more work. Where the first column alone is too much, adapters
help, or an optimizer with less state than AdamW's 8 bytes: \`lion\` has 4, \`adafactor\` next to none, \`sgd\` without momentum none.

## Time

Work per pair: HH-RLHF's lengths (${typical.length} pairs of at most 1024 tokens, each prompt computed once), with its share of the reference pass; what must be
done, no recomputation ([\`test/bench/work.ts\`](../test/bench/work.ts)). Hours for 10,000 pairs: on a GPU at 40 % of an H100's 989 TFLOP/s in
bfloat16, **an assumption**; on 8 cores, if each does
what one did here (${(cpuRate / 1e9).toFixed(0)} GFLOP per second of processor time, float32).

${table(['model', 'trained', 'TFLOP per pair', 'hours, GPU at 40 %', 'hours, 8 cores'], both(timeRow))}

## The formula beside measured peaks

Peak of resident memory during two steps, above that before the model was loaded, standard operations on a CPU (\`npm run scale\`).

${table(['layers x hidden', 'trained', 'precision', 'tokens at once', 'measured, GB', 'worked out, GB', 'ratio'], measured.map(checkRow))}
`;
}
