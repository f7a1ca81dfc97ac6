import { maxProgressBytes, maxTerminationBytes, type Progress } from '../crds/progress.ts';

type Counted = Pick<Progress, 'stage' | 'stageStep' | 'stageTotal'>;

/**
 * A part of a record, with its counter in order: a new stage begins at 0, and a total that was only estimated (a download
 * without a size, answers of unknown length) grows with what is done.
 */
export function counted<T extends Partial<Counted>>(before: Counted, part: T): T & Partial<Counted> {
  const begins = part.stage !== undefined && part.stage !== before.stage;
  const { stageStep, stageTotal } = { ...(begins ? { stageStep: 0, stageTotal: 0 } : before), ...part };
  return { ...part, stageStep, stageTotal: stageTotal > 0 ? Math.max(stageTotal, stageStep) : 0 };
}

/** Letters per warning and newest warnings kept, from the fullest record to the leanest. */
const trims = [
  [Infinity, Infinity],
  [128, Infinity],
  [128, 4],
  [0, 0],
] as const;

const trimmed = (progress: Progress, [letters, newest]: (typeof trims)[number]): Progress => {
  const kept = newest === 0 ? [] : progress.warnings.slice(-newest);
  const warnings = kept.map(({ reason, message }) => ({ reason, message: message.slice(0, letters) }));
  return { ...progress, warnings };
};

const fits = (limit: number) => (body: string) => Buffer.byteLength(body) <= limit;

/** The body of /progress, within what the operator reads: figures matter more than warnings, which are cut first. */
export function progressBody(progress: Progress): string {
  const bodies = trims.map((trim) => JSON.stringify(trimmed(progress, trim)));
  return bodies.find(fits(maxProgressBytes)) ?? (bodies.at(-1) as string);
}

/** The termination message, within what Kubernetes keeps of it: warnings are cut first, then the message's end. */
export function terminationBody(reason: string, message: string, progress: Progress | undefined): string {
  const records = progress === undefined ? [undefined] : trims.map((trim) => trimmed(progress, trim));
  const bodies = [1024, 256].flatMap((letters) =>
    records.map((record) =>
      JSON.stringify({ reason, message: message.slice(0, letters), ...(record && { progress: record }) }),
    ),
  );
  return bodies.find(fits(maxTerminationBytes)) ?? JSON.stringify({ reason, message: message.slice(0, 256) });
}
