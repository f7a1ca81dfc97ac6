import { rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Removes what the tests left: the folder that temporary-setup.ts made, and no other. */
export default function tearDown(): void {
  const folder = process.env['TMPDIR'] ?? '';
  if (!basename(folder).startsWith('dpo-tests-')) return;
  rmSync(folder, { recursive: true, force: true });
  // Where several rings run at once the next one's is found in its place.
  process.env['TMPDIR'] = dirname(folder);
}
