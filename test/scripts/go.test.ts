import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { goDirective, isNewEnough } from '../cluster/go.ts';

test.each([
  ['go version go1.24.0 linux/amd64', '1.24.0', true],
  ['go version go1.26.6 linux/arm64', '1.24.0', true],
  ['go version go1.26.8 linux/arm64', '1.26.7', true],
  ['go version go1.26.7 linux/arm64', '1.26.7', true],
  ['go version go1.26.6 linux/arm64', '1.26.7', false],
  ['go version go1.27 linux/arm64', '1.26.7', true],
  ['go version go2.0 linux/amd64', '1.24.0', true],
  ['go version go1.19.8 linux/amd64', '1.24', false],
  ['go version devel', '1.24', false],
  ['', '1.24', false],
])('what prints "%s" builds a module that asks for Go %s: %s', (printed, oldest, expected) => {
  expect(isNewEnough(printed, oldest)).toBe(expected);
});

test.each(['kubeall', 'kwok', 'helm', 'prometheus'])(
  'the version that %s asks for is read from its go.mod',
  (module) => {
    expect(goDirective(readFileSync(`test/cluster/${module}/go.mod`, 'utf8'))).toMatch(/^1\.\d+\.\d+$/);
  },
);
