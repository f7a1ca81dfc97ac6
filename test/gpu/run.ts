import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { exitCodes } from '../../crds/exit-codes.ts';
import { prepareEnvironment } from '../../trainer-image/engine/environment.ts';

/**
 * `npm run gpu`: proves on a machine with a GPU (after `npm run engine -- --gpu`) that it computes what TRL, transformers and
 * PyTorch compute and the same bits twice on request, and prints its speed at the shape of SmolLM2-135M. Ends with 0 when all is
 * within its tolerance, 1 when not, 67 when there is no GPU.
 *
 *   npm run gpu -- --device cpu   the comparisons alone, on the CPU
 */
const { values } = parseArgs({
  options: { device: { type: 'string', default: 'gpu' }, bits: { type: 'boolean', default: false } },
});
const onCpu = values.device === 'cpu';
if (onCpu) process.env['CUDA_VISIBLE_DEVICES'] = '';
// A process has one setting for all it computes: the same bits are looked at in another.
prepareEnvironment({ deterministic: values.bits });

async function compareBits(): Promise<boolean> {
  const { sameBits } = await import('./bits.ts');
  return sameBits(!onCpu);
}

function bitsInAnother(): boolean {
  const args = [...process.execArgv, import.meta.filename, '--bits', '--device', values.device];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  console.log(`fullDeterminism: two runs ${status === 0 ? 'have the same bits' : 'DIFFER'}`);
  return status === 0;
}

async function speed(): Promise<void> {
  const { cases } = await import('../bench/cases.ts');
  const { config, writeModel } = await import('../bench/model.ts');
  const { modelFolder } = await import('../bench/workload.ts');
  const { matmulRate, measure } = await import('./throughput.ts');
  const { setRoundedShapes } = await import('../../trainer-image/engine/engine.ts');
  const { trainingOf } = await import('../trainer-image/golden.ts');
  writeModel(modelFolder);
  setRoundedShapes(true);
  const lengths = cases.hh.groups.flat();
  for (const precision of ['fp32', 'bf16'] as const) {
    const training = trainingOf({ precision, microBatchTokens: 16_384 });
    const found = measure(modelFolder, training, { lengths, shape: config, steps: 10 });
    const best = matmulRate(precision, 8192);
    const figures = [
      `${found.pairsPerSecond.toFixed(1)} pairs/s`,
      `${found.tokensPerSecond.toFixed(0)} tokens/s`,
      `model FLOP utilisation ${((100 * found.flops) / best).toFixed(1)} % of ${(best / 1e12).toFixed(0)} TFLOP/s (a product of 8192 x 8192)`,
    ];
    console.log(`SmolLM2-135M's shape, HH-RLHF's lengths, ${precision}: ${figures.join(', ')}`);
  }
}

async function main(): Promise<number> {
  const { tensorFlowVersion, usesGpu } = await import('../../trainer-image/engine/engine.ts');
  if (!onCpu && !usesGpu()) {
    console.error(
      'gpu: TensorFlow finds no GPU. Is the engine built by `npm run engine -- --gpu`, and a driver there?',
    );
    return exitCodes.AcceleratorUnavailable;
  }
  if (values.bits) return (await compareBits()) ? 0 : 1;
  console.log(`TensorFlow ${tensorFlowVersion()} on ${onCpu ? 'CPU' : 'GPU'}`);
  const { compareAll } = await import('./parity.ts');
  const [within, same] = [await compareAll(), bitsInAnother()];
  if (!onCpu) await speed();
  console.log(within && same ? 'all within tolerance' : 'NOT all within tolerance');
  return within && same ? 0 : 1;
}

process.exitCode = await main();
