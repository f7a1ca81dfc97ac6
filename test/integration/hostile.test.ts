import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { deep, fine, hostileSpecs, unknownFields } from '../security/specs.ts';
import { DryRun } from './dry-run.ts';

let server: DryRun;
beforeAll(async () => {
  server = await DryRun.open();
}, 120_000);
afterAll(async () => {
  await server?.close();
});

describe('a hostile specification, by the API server', () => {
  test.each(hostileSpecs)('$title is $becomes', async ({ change, becomes }) => {
    const { status, message } = await server.apply({ ...fine, ...change });
    if (becomes === 'taken') expect([status, message]).toEqual([201, '']);
    else expect([400, 422]).toContain(status);
  });

  test.each(unknownFields)('a field that is unknown is refused: %s', async (_, change) => {
    const { status } = await server.apply({ ...fine, ...change });
    expect([400, 422]).toContain(status);
  });

  test.each([
    ['larger than the API server takes', { ...fine, pod: { annotations: { a: 'x'.repeat(4_000_000) } } }, 413],
    ['two thousand levels deep', { ...fine, x: deep(2000) }, 400],
  ])('one that is %s is refused', async (_, spec, expected) => {
    expect((await server.apply(spec)).status).toBe(expected);
  });

  test.each(['../x', 'a/b', 'A', '-a', 'a.b', 'a\nb', 'a'.repeat(48), '__proto__', ''])(
    'a name is refused: %j',
    (name) => {
      const job = { apiVersion: 'training.dpo-operator.io/v1alpha1', kind: 'DPOJob', metadata: { name }, spec: fine };
      return expect(server.create('dpojobs', job)).resolves.toMatchObject({ status: 422 });
    },
  );
});
