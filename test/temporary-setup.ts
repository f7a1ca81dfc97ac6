import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder under which the tests of a run of jest make their temporary ones; the workers inherit it. */
export default function setUp(): void {
  process.env['TMPDIR'] = mkdtempSync(join(tmpdir(), 'dpo-tests-'));
}
