import type { DPOJobSpec } from '../../crds/dpojob.ts';
import type { Progress } from '../../crds/progress.ts';

/** Ends that are not the trainer's own: what they mean, by exit code (128 and the signal's number where one ended it). */
const words: Readonly<Record<number, string>> = {
  126: 'the image has no program that can be run: is pod.image a trainer image?',
  127: 'the image lacks the program that it is to run: is pod.image a trainer image?',
  128: 'the container could not be started',
  132: "the image has instructions that this node's processor lacks (SIGILL)",
  134: 'the trainer aborted (SIGABRT)',
  135: 'a volume or shared memory failed under the trainer (SIGBUS)',
  137: 'the trainer was killed (SIGKILL): by its node, for want of memory on it, or since it did not stop in checkpoint.gracePeriodSeconds',
  139: 'the trainer crashed (SIGSEGV)',
  143: 'the trainer was stopped before it could save (SIGTERM)',
};

/** What an exit code says where nobody said more. */
export function exitWords(exitCode: number | undefined): string {
  return exitCode === undefined
    ? 'nothing is known of the end of its trainer'
    : (words[exitCode] ?? `exit code ${exitCode}`);
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toPrecision(3)}Gi`;

/** What is said of a trainer that the kernel killed for memory: the limit, what it used when it last told, the way out. */
export function outOfMemory({ resources }: DPOJobSpec, last: Progress | undefined): string {
  const limit = resources.limits?.['memory'];
  const killed =
    limit === undefined
      ? 'killed since its node ran out of memory (resources.limits.memory is not set)'
      : `killed at its memory limit of ${limit}`;
  const used =
    last?.memoryBytes === undefined ? '' : `; it had used up to ${gibibytes(last.memoryBytes)} in stage ${last.stage}`;
  const remedy = limit === undefined ? 'set resources.requests.memory' : 'raise resources.limits.memory';
  return `${killed}${used}: ${remedy}, lower training.microBatchTokens or set training.gradientCheckpointing to true`;
}
