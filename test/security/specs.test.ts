import { describe, expect, test } from '@jest/globals';
import { specSchema } from '../../crds/dpojob.ts';
import { fieldsOf } from '../../crds/fields.ts';
import { problemsOf, unknownFields as unknownIn } from '../../crds/problems.ts';
import { fine, hostileSpecs, unknownFields } from './specs.ts';

const fields = fieldsOf(specSchema);

describe('a hostile specification, by the schema that the trainer reads', () => {
  test.each(hostileSpecs)('$title is $becomes', ({ change, becomes }) => {
    const spec = { ...fine, ...change };
    const parsed = specSchema.safeParse(spec);
    expect(parsed.success).toBe(becomes === 'taken');
    const told = parsed.success ? [] : problemsOf(parsed.error, spec, fields, ['spec']);
    for (const problem of told) expect(problem.length).toBeLessThan(1500);
  });

  test.each(unknownFields)('a field that is unknown: %s is told', (_, change) => {
    expect(unknownIn({ ...fine, ...change }, fields)).not.toEqual([]);
  });
});

test('nothing that was parsed changed what all objects have', () => {
  expect(({} as Record<string, unknown>)['suspend']).toBeUndefined();
});
