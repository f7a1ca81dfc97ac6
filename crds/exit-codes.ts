/**
 * Exit codes of the trainer, read by the Job's pod failure policy (operator/desired) and by status.lastFailure.
 * 64-69 are permanent: running again cannot help. Any code that is not named here counts against `backoffLimit`.
 */
export const exitCodes = {
  Complete: 0,
  InternalError: 1,
  InvalidConfiguration: 64,
  InvalidData: 65,
  CheckpointMismatch: 66,
  AcceleratorUnavailable: 67,
  DiskFull: 68,
  NonFinite: 69,
  Fenced: 71,
  SourceUnavailable: 72,
  Saved: 75,
  Terminated: 143,
} as const;

export type ExitReason = keyof typeof exitCodes;
export type ExitCode = (typeof exitCodes)[ExitReason];

/** What each means, for docs/api.md. */
export const exitMeanings: Record<ExitReason, string> = {
  Complete: 'Training, evaluation and export are done',
  InternalError: 'Something unforeseen; the next pod may do better. Counts against `backoffLimit`',
  InvalidConfiguration:
    "job.json, the model's config.json or the tokenizer cannot be used as they are; the message names the field",
  InvalidData: 'A row of the data set cannot be used, or none is left; the message names the row',
  CheckpointMismatch:
    'The checkpoint belongs to another model, data set or plan; the message names what differs and what to set',
  AcceleratorUnavailable: 'An accelerator was asked for and none can be used',
  DiskFull: 'The volume is full or cannot be written',
  NonFinite: 'Loss or gradient is NaN or infinite',
  Fenced:
    'A newer pod, or by hand an earlier process that still runs, holds the checkpoint folder; this one stopped without writing. Counts against `backoffLimit`',
  SourceUnavailable:
    'A model or data set could not be fetched, or the trained model not pushed, in spite of retries: the network, its server, or credentials that expired during the run. Counts against `backoffLimit`',
  Saved: 'Stopped on request with a checkpoint saved: restart for free (EX_TEMPFAIL)',
  Terminated: 'Ended by SIGTERM before a checkpoint could be saved (128 + 15): restart for free',
};

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
