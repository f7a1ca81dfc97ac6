import type { V1PodFailurePolicy } from '@kubernetes/client-node';
import { freeExitCodes, permanentExitCodes } from '../../crds/exit-codes.ts';

/** Name of the one container, which the rules name too. */
export const trainerContainer = 'trainer';

/** Permanent codes fail the Job at once; disruptions and saved stops are free; the rest counts against backoffLimit. */
export function podFailurePolicy(): V1PodFailurePolicy {
  const onCodes = (values: readonly number[]): { containerName: string; operator: string; values: number[] } => ({
    containerName: trainerContainer,
    operator: 'In',
    values: values.toSorted((a, b) => a - b),
  });
  return {
    rules: [
      { action: 'FailJob', onExitCodes: onCodes(permanentExitCodes) },
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      { action: 'Ignore', onExitCodes: onCodes(freeExitCodes) },
    ],
  };
}
