import { expect, test } from '@jest/globals';
import { readConfig } from '../../operator/config.ts';

test('the environment becomes one frozen configuration with defaults', () => {
  const config = readConfig({ TRAINER_IMAGE: 'trainer:1', WATCH_NAMESPACES: 'a, b' });
  expect(config).toMatchObject({ images: { trainer: 'trainer:1', gpu: 'trainer:1' }, watchNamespaces: ['a', 'b'] });
  expect(Object.isFrozen(config)).toBe(true);
});

test('every variable that is wrong is named', () => {
  expect(() => readConfig({ METRICS_PORT: 'x' })).toThrow(/TRAINER_IMAGE.*METRICS_PORT/);
});
