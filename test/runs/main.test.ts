import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../crds/exit-codes.ts';
import { trainerPort } from '../../crds/run-config.ts';
import { SafetensorsFile } from '../../trainer-image/model/safetensors.ts';
import { relativeDistance } from '../trainer-image/golden.ts';
import { prepareTiny } from '../trainer-image/in-process.ts';
import { job, prepare, progressAt, trainer, whenServing } from '../trainer-image/small-run.ts';

/** One step on sixteen pairs of long answers, all in one micro-batch: the reference pass and the step take long each. */
const longStep = job
  .replace('  sft: { batchSize: 16 }\n', '')
  .replace('batchSize: 8, microBatchTokens: 300', 'batchSize: 16, microBatchTokens: 1000000, maxSteps: 1')
  .replace('holdout: 0.1', 'holdout: 0');

function prepareLongStep(): string {
  const folder = prepare(longStep);
  const row = (i: number) => ({ prompt: `${i}: go on`, chosen: ' yes'.repeat(500), rejected: ' no'.repeat(500) });
  const lines = Array.from({ length: 16 }, (_, i) => JSON.stringify(row(i)));
  writeFileSync(join(folder, 'data', 'pairs.jsonl'), lines.join('\n'));
  return folder;
}

describe('the trainer', () => {
  test('goes on answering during a step: its health is told many times between two heartbeats', async () => {
    const folder = prepareLongStep();
    const answers = new Map<number, number>();
    let memoryBytes = 0;
    const askOn = async (address: string): Promise<void> => {
      for (;;) {
        const before = await progressAt(address);
        const healthy = (await fetch(`${address}/healthz`)).ok;
        const after = await progressAt(address);
        memoryBytes = before?.memoryBytes ?? memoryBytes;
        if (!healthy || before === undefined || before.stage === 'Loading') continue;
        if (before.heartbeat !== after?.heartbeat) continue;
        answers.set(before.heartbeat, (answers.get(before.heartbeat) ?? 0) + 1);
      }
    };
    const ended = await trainer(
      folder,
      // Until the trainer ends and its port closes.
      whenServing((address) => void askOn(address).catch(() => {})),
    );
    expect(ended.code).toBe(0);
    // TensorFlow alone takes more; what a killed trainer last told says what it was killed for.
    expect(memoryBytes).toBeGreaterThan(100 * 2 ** 20);
    // A thread that computes answers after its step, when the next heartbeat is there already: once at most.
    expect([...answers.values()].filter((count) => count >= 10).length).toBeGreaterThanOrEqual(2);
  }, 120_000);

  test('prints the result of --betas as one JSON line where there is no terminal', async () => {
    const ended = await trainer(prepareTiny().folder, undefined, { more: ['--betas', '0.05,0.5'] });
    expect([ended.code, ended.output]).toEqual([exitCodes.Complete, expect.any(String)]);
    const line = ended.output.split('\n').find((each) => each.includes('"message":"sweep"')) as string;
    expect(JSON.parse(line)).toMatchObject({
      results: [{ beta: 0.05 }, { beta: 0.5 }],
      choice: { beta: expect.any(Number), reason: expect.any(String) },
    });
    expect(ended.output).toMatch(/no model was exported \(--keep does\); to go on with beta/);
    expect(ended.output).not.toContain('export are done');
  }, 60_000);

  test.each([
    [['--betas', '0.1,zero'], /--betas: 'zero' is not a number/],
    [['--keep'], /--keep goes with --betas/],
  ])('refuses %j before it begins', async (more, message) => {
    const ended = await trainer(prepareTiny().folder, undefined, { more });
    expect([ended.code, ended.output]).toEqual([exitCodes.InvalidConfiguration, expect.stringMatching(message)]);
    expect(ended.output).not.toMatch(/metrics on port/);
  });

  test('computes operation by operation with --eager, to about the same weights', async () => {
    const folders = await Promise.all(
      [[], ['--eager']].map(async (more) => {
        const folder = prepare();
        const ended = await trainer(folder, undefined, { more });
        expect([ended.code, ended.output]).toEqual([0, expect.stringContaining('"Complete"')]);
        return folder;
      }),
    );
    const [compiled, eager] = folders.map(
      (folder) => new SafetensorsFile(join(folder, 'models', 'out', 'model.safetensors')),
    ) as [SafetensorsFile, SafetensorsFile];
    for (const name of compiled.names) {
      expect(relativeDistance(eager.read(name).data, compiled.read(name).data)).toBeLessThan(1e-3);
    }
  }, 120_000);

  test.each([
    ['an option that is not known', ['--bogus'], /Unknown option '--bogus'.*usage: npm run train/s],
    ['no job', ['--file'], /usage: npm run train/],
    ['a port that is none', ['--port', 'web'], /--port NaN cannot be opened/],
  ])(
    'is refused with %s',
    async (_, more, message) => {
      const ended = await trainer(prepare(), undefined, { more });
      expect([ended.code, ended.output]).toEqual([exitCodes.InvalidConfiguration, expect.stringMatching(message)]);
    },
    60_000,
  );

  test.each(['--help', '-h'])('tells with %s how it is used, each option and an example, and ends well', (flag) => {
    const { status, stdout } = spawnSync('sh', ['scripts/node', 'trainer-image/main.ts', flag], { encoding: 'utf8' });
    expect(status).toBe(0);
    const known = /const known = [{](.*?)[}] as const/s.exec(readFileSync('trainer-image/main.ts', 'utf8'))?.[1] ?? '';
    const names = [...known.matchAll(/^ {2}'?([a-z-]+)'?: /gm)].map(([, name]) => `--${name}`);
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) expect(stdout).toContain(name);
    expect(stdout).toContain('npm run train -- -f crds/examples/quickstart.yaml --betas 0.05,0.1,0.5');
  });

  test('by hand takes a free port where the usual one is taken and none was asked for, and says which; in a pod it ends', async () => {
    const holder = createServer().listen(trainerPort);
    // Where another program of this machine has the port already, that one holds it.
    await new Promise((resolve) => holder.once('listening', resolve).once('error', resolve));
    const byHand = await trainer(prepareTiny().folder, undefined, { port: [] });
    const { folder } = prepareTiny();
    const more = ['--termination-log', join(folder, 'termination-log')];
    const inPod = await trainer(folder, undefined, { port: [], more, env: { POD_UID: 'a-pod' } });
    holder.close();
    expect([byHand.code, byHand.output]).toEqual([
      0,
      expect.stringMatching(/port 8080 is taken.*metrics on port \d+/s),
    ]);
    expect(byHand.output).not.toContain('metrics on port 8080"');
    expect([inPod.code, inPod.output]).toEqual([
      exitCodes.InvalidConfiguration,
      expect.stringContaining('--port 8080 cannot be opened (EADDRINUSE)'),
    ]);
  }, 60_000);

  test('is refused on a port that another program has', async () => {
    const other = createServer().listen(0);
    const { port } = other.address() as AddressInfo;
    const ended = await trainer(prepare(), undefined, { more: ['--port', String(port)] });
    other.close();
    const message = `--port ${port} cannot be opened (EADDRINUSE)`;
    expect([ended.code, ended.output]).toEqual([exitCodes.InvalidConfiguration, expect.stringContaining(message)]);
  }, 60_000);
});
