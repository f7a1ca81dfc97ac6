import { expect, test } from '@jest/globals';
import { readConfig } from '../../operator/config.ts';

test('the environment becomes one frozen configuration with defaults', () => {
  const config = readConfig({ TRAINER_IMAGE: 'trainer:1', WATCH_NAMESPACES: 'a, b' });
  expect(config).toMatchObject({ images: { trainer: 'trainer:1', gpu: 'trainer:1' }, watchNamespaces: ['a', 'b'] });
  expect(Object.isFrozen(config)).toBe(true);
});

test('the lease is the release’s own; without a name it is as ever', () => {
  const names = [{ LEASE_NAME: 'team-a-operator' }, {}].map((given) => readConfig({ TRAINER_IMAGE: 't', ...given }));
  expect(names.map(({ leaseName }) => leaseName)).toEqual(['team-a-operator', 'dpo-operator']);
});

test('every variable that is wrong is named', () => {
  expect(() => readConfig({ METRICS_PORT: 'x' })).toThrow(/TRAINER_IMAGE.*METRICS_PORT/);
});
