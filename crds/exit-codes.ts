/**
 * Exit codes of the trainer, read by the Job's pod failure policy (operator/desired) and by status.lastFailure.
 * 64-69 are permanent: running again cannot help. Any code that is not named here counts against `backoffLimit`.
 */
export const exitCodes = {
  /** Training, evaluation and export are done. */
  Complete: 0,
  /** Something unforeseen; the next pod may do better. Counts against `backoffLimit`. */
  InternalError: 1,
  /** job.json, the model's config.json or the tokenizer cannot be used as they are. */
  InvalidConfiguration: 64,
  /** A row of the data set cannot be used, or none is left. */
  InvalidData: 65,
  /** The checkpoint belongs to another model, data set or plan. */
  CheckpointMismatch: 66,
  /** An accelerator was asked for and none can be used. */
  AcceleratorUnavailable: 67,
  /** The volume is full or cannot be written. */
  DiskFull: 68,
  /** Loss or gradient is NaN or infinite. */
  NonFinite: 69,
  /** A newer pod, or by hand an earlier process that still runs, holds the checkpoint folder; this one stopped without writing. Counts against `backoffLimit`. */
  Fenced: 71,
  /** A model or data set could not be fetched, or the trained model not pushed, in spite of retries: the network, its server, or credentials that expired during the run. Counts against `backoffLimit`. */
  SourceUnavailable: 72,
  /** Stopped on request with a checkpoint saved: restart for free (EX_TEMPFAIL). */
  Saved: 75,
  /** Ended by SIGTERM before a checkpoint could be saved (128 + 15): restart for free. */
  Terminated: 143,
} as const;

export type ExitReason = keyof typeof exitCodes;
export type ExitCode = (typeof exitCodes)[ExitReason];

/** Codes after which the Job fails at once. */
export const permanentExitCodes: readonly ExitCode[] = [
  exitCodes.InvalidConfiguration,
  exitCodes.InvalidData,
  exitCodes.CheckpointMismatch,
  exitCodes.AcceleratorUnavailable,
  exitCodes.DiskFull,
  exitCodes.NonFinite,
];

/** Codes after which a new pod starts without counting against `backoffLimit`. */
export const freeExitCodes: readonly ExitCode[] = [exitCodes.Saved, exitCodes.Terminated];

/** The name of an exit code, or undefined for one that the trainer never uses (137: killed, 139: crashed ...). */
export function exitReason(code: number): ExitReason | undefined {
  return (Object.keys(exitCodes) as ExitReason[]).find((reason) => exitCodes[reason] === code);
}
