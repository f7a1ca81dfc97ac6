import type { DPOJobStatus } from '../../crds/status.ts';
import { reportedFields } from './progress.ts';

/** What moves while nothing changes state: all that a trainer may report anew at any time. */
const moving = new Set<keyof DPOJobStatus>(reportedFields);

/** Whether two statuses say the same, whatever the order of their keys. */
export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/**
 * How a status differs from the stored one: not at all, in its figures only (to be written at intervals), or in its
 * state (to be written at once).
 */
export function statusChange(before: DPOJobStatus = {}, after: DPOJobStatus): 'none' | 'figures' | 'state' {
  const still = (status: DPOJobStatus): object =>
    Object.fromEntries(Object.entries(status).filter(([key]) => !moving.has(key as keyof DPOJobStatus)));
  if (!same(still(before), still(after)) || before.progress?.stage !== after.progress?.stage) {
    return 'state';
  }
  return same(before, after) ? 'none' : 'figures';
}
