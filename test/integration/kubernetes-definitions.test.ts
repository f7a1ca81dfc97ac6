import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { definitionsText } from '../../scripts/extract-kubernetes.ts';

test('the schemas behind spec.pod are those of the Kubernetes that the tests run', () => {
  const committed = readFileSync('crds/kubernetes/definitions.json', 'utf8');
  expect(JSON.parse(definitionsText())).toEqual(JSON.parse(committed));
}, 120_000);
