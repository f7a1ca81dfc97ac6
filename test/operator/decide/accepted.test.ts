import { expect, test } from '@jest/globals';
import { notMade } from '../../../operator/decide/accepted.ts';

test.each([
  ['Job', 'small-1', 'JobRefused', 'spec.pod and spec.resources may be changed while spec.suspend is true'],
  ['PersistentVolumeClaim', 'small-work', 'ClaimRefused', 'delete the DPOJob and make it with another'],
])('a refused %s %s is told as %s, with what can be done', (kind, name, reason, todo) => {
  const refusal = notMade(kind, name, 'is invalid');
  expect(refusal.reason).toBe(reason);
  expect(refusal.message).toMatch(new RegExp(`${todo}: ${kind} ${name}: is invalid$`));
});
