import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

/** Packs a folder as a docker archive of one layer that `ctr images import` takes: no registry and no build tool. */
export function packImage(root: string, archive: string, name: string, config: Record<string, unknown>): void {
  const work = mkdtempSync(join(tmpdir(), 'image-'));
  const plain = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  execFileSync('tar', [...plain, '-C', root, '-cf', join(work, 'layer.tar'), '.']);
  const layer = sha256(readFileSync(join(work, 'layer.tar')));
  const image = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
    history: [{ created: '1970-01-01T00:00:00Z' }],
  });
  const [configFile, layerFile] = [`${sha256(image)}.json`, `${layer}/layer.tar`];
  mkdirSync(join(work, layer));
  renameSync(join(work, 'layer.tar'), join(work, layerFile));
  writeFileSync(join(work, configFile), image);
  writeFileSync(
    join(work, 'manifest.json'),
    JSON.stringify([{ Config: configFile, RepoTags: [name], Layers: [layerFile] }]),
  );
  execFileSync('tar', [...plain, '-C', work, '-cf', archive, configFile, 'manifest.json', layer]);
  rmSync(work, { recursive: true });
}
