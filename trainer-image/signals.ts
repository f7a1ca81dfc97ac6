/**
 * The stop flag, raised by SIGTERM and SIGINT. main.ts imports this file before all others: the first process of a
 * container ignores a signal that nobody handles, so that one sent while TensorFlow is loaded would be lost.
 */
export const stopFlag = new SharedArrayBuffer(4);
const flag = new Int32Array(stopFlag);

export const stopRequested = (): boolean => Atomics.load(flag, 0) !== 0;

export const stopSignals = ['SIGTERM', 'SIGINT'] as const;
for (const signal of stopSignals) process.on(signal, () => Atomics.store(flag, 0, 1));
