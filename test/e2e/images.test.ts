import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { archiveOf, helmInstall } from '../../scripts/images.ts';
import { helmPath } from '../cluster/install.ts';

/** What is in the images that `npm run images` built, and how they are installed. */
function filesOf(archive: string): string[] {
  const [{ Layers: layers }] = JSON.parse(
    execFileSync('tar', ['-xOf', archive, 'manifest.json'], { encoding: 'utf8' }),
  );
  return (layers as string[]).flatMap((layer) =>
    execFileSync('sh', ['-c', 'tar -xOf "$1" "$2" | tar -t', 'sh', archive, layer], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }).split('\n'),
  );
}

describe('the operator’s image', () => {
  const files = filesOf(archiveOf('operator'));
  test('holds the operator and no TensorFlow', () => {
    expect(files).toContain('app/operator/main.ts');
    expect(files.filter((file) => /tensorflow|trainer-image/.test(file))).toEqual([]);
  });
  test('has at most 250 MB', () => {
    expect(statSync(archiveOf('operator')).size).toBeLessThanOrEqual(250e6);
  });
  test.each(['apt/apt.conf.d/proxy', '.npmrc', 'pip.conf'])(
    'carries nothing of this machine’s settings: %s',
    (name) => {
      expect(files.filter((file) => /^(root|mnt)\//.test(file) && file.endsWith(name))).toEqual([]);
    },
  );
});

test('the trainer’s image holds the trainer, its engine and no operator', () => {
  const files = filesOf(archiveOf('trainer'));
  expect(files).toContain('app/trainer-image/main.ts');
  expect(files.some((file) => file.includes('libtensorflow_cc.so.2'))).toBe(true);
  expect(files.filter((file) => file.startsWith('app/operator/') && file.endsWith('.ts'))).toEqual([]);
});

test('the command that --push prints is one that the chart takes whole', () => {
  const command = helmInstall(['operator', 'trainer', 'trainer-gpu'], 'registry.example.com/dpo', '42');
  expect(command).toMatch(/^helm upgrade --install dpo /);
  // Rendered instead of installed: no cluster is needed.
  const [, , , ...args] = command.replaceAll('\\\n', ' ').split(/\s+/);
  const { status, stdout, stderr } = spawnSync(helmPath(), ['template', ...args, '--kube-version=1.34.0'], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  for (const image of ['operator', 'trainer', 'trainer-gpu']) {
    expect(stdout).toContain(`registry.example.com/dpo/${image}:42`);
  }
});
