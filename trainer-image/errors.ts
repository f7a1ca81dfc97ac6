import type { ExitReason } from '../crds/exit-codes.ts';

/** An end of the run that has a name of its own in crds/exit-codes.ts. The message says what was wrong and what to do. */
export class TrainerError extends Error {
  readonly reason: ExitReason;

  constructor(reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TrainerError';
    this.reason = reason;
  }
}
