import { setTimeout as sleep } from 'node:timers/promises';

/** Seconds to wait before attempt n (from 0): doubled each time up to a limit, with jitter, so that many do not return at once. */
export function backoffSeconds(attempt: number, first: number, limit: number): number {
  const full = Math.min(limit, first * 2 ** Math.min(attempt, 30));
  return full * (0.75 + Math.random() / 2);
}

/** Waits some seconds, or until the signal aborts. */
export async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(seconds * 1000, undefined, { signal });
  } catch {
    // Stopped: the caller looks at the signal.
  }
}
