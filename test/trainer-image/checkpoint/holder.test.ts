import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { takeFence } from '../../../trainer-image/checkpoint/fence.ts';
import { checkHolder, processHolder } from '../../../trainer-image/checkpoint/holder.ts';

const heldBy = (holder: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'holder-'));
  takeFence(folder, holder);
  return folder;
};

test('a folder that a process holds is refused while the process lives, with its number, and taken when it has ended', async () => {
  const child = spawn('sleep', ['60']);
  const pid = child.pid as number;
  const folder = heldBy(processHolder(pid));
  expect(() => checkHolder(folder)).toThrow(
    expect.objectContaining({
      reason: 'Fenced',
      message: expect.stringContaining(`process ${pid} runs this job already`),
    }),
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  checkHolder(folder);
});

test.each([
  ['no trainer', undefined],
  ['a pod', '3f1c9d1e-0000-4000-8000-000000000000'],
  ['another process that had its number', processHolder(1).replace(/ \d+ on /, ' 99999999999 on ')],
  ['a process of another machine', processHolder(1).replace(/ on .*/, ' on elsewhere')],
  ['this process', processHolder()],
])('a folder that %s holds is taken', (_, holder) => {
  checkHolder(holder === undefined ? join(tmpdir(), 'none') : heldBy(holder));
});
