import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { mutated } from '../faults/fault.ts';
import { faults } from '../faults/list.ts';

/** Whether tests catch them takes minutes: npm run faults. */
describe('the faults that `npm run faults` puts in', () => {
  test.each(faults)('$file: $title, has its place in the source and its tests', (fault) => {
    const source = readFileSync(`trainer-image/${fault.file}`, 'utf8');
    expect(mutated(fault, source)).not.toBe(source);
    const file = `test/${fault.tests}`;
    expect([file, `${file}.test.ts`].some((path) => existsSync(path))).toBe(true);
  });

  test('are at least 20, in loss, checkpoint and data', () => {
    expect(faults.length).toBeGreaterThanOrEqual(20);
    expect(new Set(faults.map(({ file }) => file.split('/')[0]))).toEqual(
      new Set(['loss', 'checkpoint', 'data', 'model', 'train.ts']),
    );
  });
});
