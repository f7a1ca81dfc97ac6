import { expect, test } from '@jest/globals';
import { isNewEnough } from '../cluster/go.ts';

test.each([
  ['go version go1.24.0 linux/amd64', true],
  ['go version go1.26.6 linux/arm64', true],
  ['go version go2.0 linux/amd64', true],
  ['go version go1.19.8 linux/amd64', false],
  ['go version devel', false],
  ['', false],
])('what prints "%s" builds Kubernetes (Go 1.24 or newer): %s', (printed, expected) => {
  expect(isNewEnough(printed, [1, 24])).toBe(expected);
});
