/**
 * The stop flag, raised by SIGTERM and SIGINT. The image preloads this file and main.ts imports it before all others: the
 * first process of a container ignores a signal that nobody handles, so that one sent while it starts would be lost.
 */
export const stopFlag = new SharedArrayBuffer(4);
const flag = new Int32Array(stopFlag);

/** Whether a stop was asked for; a signal sent during work without a pause is heard in the event loop's next turn. */
export async function stopRequested(): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve));
  return Atomics.load(flag, 0) !== 0;
}

export const stopSignals = ['SIGTERM', 'SIGINT'] as const;
for (const signal of stopSignals) process.on(signal, () => Atomics.store(flag, 0, 1));
