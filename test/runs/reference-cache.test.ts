import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Stopped } from '../../trainer-image/stages/context.ts';
import { train } from '../../trainer-image/train.ts';
import { listen, prepareTiny, tinyJob, tinyRun, writeTinyModel, type Heard } from '../trainer-image/in-process.ts';
import { exported, trainer } from '../trainer-image/small-run.ts';

const withoutSft = tinyJob.replace('  sft: { batchSize: 6, learningRate: 1e-2 }\n', '');
/** The job under another name, so that its checkpoints are its own, with a cache. */
const named = (name: string, spec = withoutSft): string =>
  `${spec.replace('name: tiny', `name: ${name}`)}  cache: { source: pvc://models/shared }\n`;

const cacheOf = (folder: string): string => join(folder, 'models', 'shared', 'reference');
const shardsIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.f32'));
/** "12 of 12": how many pairs a run found, of how many. */
const found = ({ infos }: Heard): string | undefined =>
  infos.flatMap((info) => /^reference: (\d+ of \d+) pairs/.exec(info)?.[1] ?? []).at(-1);
async function run(folder: string, spec: string): Promise<Heard> {
  const heard = listen();
  // No job writes over another's model.
  rmSync(join(folder, 'models', 'out'), { recursive: true, force: true });
  await train(tinyRun(folder, spec), 'test', heard);
  return heard;
}

describe('a cache that jobs share', () => {
  const { folder } = prepareTiny();
  let cold: Heard;
  let weights: string;
  beforeAll(async () => {
    cold = await run(folder, named('first'));
    weights = exported(folder);
  });

  test('is filled by the first job, whose result is that of a job without it', async () => {
    expect(found(cold)).toBe('0 of 12');
    const alone = prepareTiny(withoutSft);
    await train(alone.run, 'test', listen());
    expect(exported(alone.folder)).toBe(weights);
    expect(shardsIn(alone.run.paths.checkpoints).length).toBe(shardsIn(cacheOf(folder)).length);
  });

  test('gives a second job everything, and the same weights bit for bit', async () => {
    expect(found(await run(folder, named('second')))).toBe('12 of 12');
    expect(exported(folder)).toBe(weights);
    expect(existsSync(join(tinyRun(folder, named('second')).paths.checkpoints, 'reference'))).toBe(false);
  });

  test.each(['beta: 0.5', 'ldAlpha: 0.5, loss: [{ type: ipo }]'])(
    'gives a job with another %s everything, and the weights that it has without a cache',
    async (setting) => {
      const spec = withoutSft.replace('training: { ', `training: { ${setting}, `);
      expect(found(await run(folder, named(`other-${setting.length}`, spec)))).toBe('12 of 12');
      const alone = prepareTiny(spec);
      await train(alone.run, 'test', listen());
      expect(exported(folder)).toBe(exported(alone.folder));
    },
  );

  test('gives a job with fine-tuning nothing of another start, and one with the same fine-tuning everything', async () => {
    expect(found(await run(folder, named('tuned', tinyJob)))).toBe('0 of 12');
    const tuned = exported(folder);
    expect(found(await run(folder, named('tuned-2', tinyJob.replace('training: { ', 'training: { beta: 0.2, '))))).toBe(
      '12 of 12',
    );
    expect(found(await run(folder, named('tuned-3', tinyJob)))).toBe('12 of 12');
    expect(exported(folder)).toBe(tuned);
  });

  test.each([
    ['other token budgets', named('budget', withoutSft.replace('microBatchTokens: 200', 'microBatchTokens: 300'))],
    ['adapters', named('adapters', withoutSft.replace('training: { ', 'training: { lora: { useDora: true }, '))],
    ['other rows only', named('rows', withoutSft.replace('holdout: 0.2', 'holdout: 0.2, maxPairs: 3'))],
  ])('gives a job with %s no value that was computed otherwise', async (_, spec) => {
    expect(found(await run(folder, spec))).toMatch(/^0 of/);
  });

  test('with a damaged shard warns, computes it again, mends it, and changes nothing', async () => {
    for (const name of shardsIn(cacheOf(folder))) {
      const file = join(cacheOf(folder), name);
      const bytes = readFileSync(file);
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      writeFileSync(file, bytes);
    }
    const heard = await run(folder, named('mended'));
    expect(heard.warnings.map(([reason]) => reason)).toContain('ReferenceSkipped');
    expect([found(heard), exported(folder)]).toEqual(['0 of 12', weights]);
    expect(found(await run(folder, named('mended-2')))).toBe('12 of 12');
  });

  test('gives a job with other weights at the same path nothing', async () => {
    const other = prepareTiny();
    expect(found(await run(other.folder, named('first')))).toBe('0 of 12');
    writeTinyModel(join(other.folder, 'models', 'tiny'), 2);
    expect(found(await run(other.folder, named('changed')))).toBe('0 of 12');
  });
});

test('a run that is stopped in its reference pass goes on where it was', async () => {
  const { folder } = prepareTiny();
  const spec = withoutSft.replace('microBatchTokens: 200', 'microBatchTokens: 40');
  const heard = listen();
  await train(tinyRun(folder, spec), 'test', heard);
  const last = heard.beats.findLastIndex(({ stage, stageStep }) => stage === 'Reference' && stageStep !== undefined);
  const stopped = prepareTiny(spec);
  await expect(train(stopped.run, 'test', listen(last + 1))).rejects.toThrow(Stopped);
  const again = listen();
  await train(stopped.run, 'test', again);
  expect(Number(found(again)?.split(' ')[0])).toBeGreaterThan(0);
  expect(exported(stopped.folder)).toBe(exported(folder));
});

test('two jobs that fill a cache at once end as they would alone', async () => {
  const { folder } = prepareTiny();
  await run(folder, named('alone'));
  const weights = exported(folder);
  const shared = prepareTiny().folder;
  const endings = await Promise.all(
    ['one', 'two'].map((name) => {
      const spec = named(name).replace('models/out', `models/${name}`);
      writeFileSync(join(shared, `${name}.yaml`), spec);
      return trainer(shared, undefined, { more: ['-f', join(shared, `${name}.yaml`)] });
    }),
  );
  expect(endings.map(({ code }) => code)).toEqual([0, 0]);
  const of = (name: string): string => readFileSync(join(shared, 'models', name, 'model.safetensors')).toString('hex');
  expect(of('one')).toBe(of('two'));
  expect(of('one')).toBe(readFileSync(join(folder, 'models', 'out', 'model.safetensors')).toString('hex'));
  expect(weights).toBe(exported(folder));
  const left = readdirSync(cacheOf(shared), { recursive: true, encoding: 'utf8' });
  expect(left.filter((name) => name.endsWith('.partial'))).toEqual([]);
}, 120_000);
