import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { mutated, sourceOf, type Fault } from '../faults/fault.ts';
import { faults } from '../faults/list.ts';

/** Whether tests catch them takes minutes: npm run faults. */
describe('the faults that `npm run faults` puts in', () => {
  test.each(faults)('$file: $title, has its place in the source and its tests', (fault) => {
    const source = readFileSync(sourceOf(fault), 'utf8');
    expect(mutated(fault, source)).not.toBe(source);
    const file = `test/${fault.tests}`;
    expect([file, `${file}.test.ts`].some((path) => existsSync(path))).toBe(true);
  });

  test.each<[string, (fault: Fault) => boolean, string[]]>([
    [
      'the trainer',
      ({ program }) => program === undefined,
      ['checkpoint', 'data', 'loss', 'model', 'stages', 'train.ts'],
    ],
    ['the operator', ({ program }) => program === 'operator', ['decide', 'loop']],
  ])('are at least 20 in %s', (_program, holds, folders) => {
    const own = faults.filter(holds);
    expect(own.length).toBeGreaterThanOrEqual(20);
    expect(own.map(({ file }) => file.split('/')[0])).toEqual(expect.arrayContaining(folders));
  });
});
