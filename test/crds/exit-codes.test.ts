import { describe, expect, test } from '@jest/globals';
import { exitCodes, exitReason, freeExitCodes, permanentExitCodes } from '../../crds/exit-codes.ts';

describe('exit codes', () => {
  test('are all different', () => {
    expect(new Set(Object.values(exitCodes)).size).toBe(Object.keys(exitCodes).length);
  });

  test.each(Object.entries(exitCodes))('%s is named by its number %d', (reason, code) => {
    expect(exitReason(code)).toBe(reason);
  });

  test.each([137, 139, 255])('%d is not the trainer’s own', (code) => {
    expect(exitReason(code)).toBeUndefined();
  });

  test('restart for free or fail for good, never both', () => {
    expect(permanentExitCodes.filter((code) => freeExitCodes.includes(code))).toEqual([]);
    expect(permanentExitCodes.every((code) => code >= 64 && code <= 69)).toBe(true);
  });
});
