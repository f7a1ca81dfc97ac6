import type { Asked, Fault, Spoil } from './proxy.ts';
import { seeded } from './seeded.ts';

type Which = (asked: Asked) => boolean;
const always =
  (fault: Fault, which: Which): Spoil =>
  (asked) =>
    which(asked) ? fault : undefined;
/**
 * By chance, but the same for the same order of requests: what fails in step with a retry would fail for ever. A look asks up
 * to seven times and must get through whole, and each that does not doubles the wait for the next: of a third of them lost
 * a life takes minutes by chance alone.
 */
const often = (fault: Fault, which: Which): Spoil => {
  const random = seeded(1);
  return (asked) => (which(asked) && random() < 0.15 ? fault : undefined);
};
const watches: Which = ({ isWatch }) => isWatch;
const calls: Which = ({ isWatch }) => !isWatch;
const writes: Which = ({ isWrite }) => isWrite;
const refused = (code: number, reason: string): Fault => ({ kind: 'refuse', code, reason });

/** What may become of requests, in words that follow `although`. */
export const spoils: Record<string, Spoil> = {
  'every watch breaks after 300 ms': always({ kind: 'drop', milliseconds: 300 }, watches),
  'watches say that their version is too old (410)': often({ kind: 'expire' }, watches),
  'watches and lists are refused, their version being too old (410)': often(
    refused(410, 'Expired'),
    ({ isWrite }) => !isWrite,
  ),
  'writes are refused as conflicts (409)': often(refused(409, 'Conflict'), writes),
  'requests are too many (429), to come again after a second': often(
    { kind: 'refuse', code: 429, reason: 'TooManyRequests', retryAfter: 1 },
    calls,
  ),
  'requests fail (500)': often(refused(500, 'InternalError'), () => true),
  'requests get no answer and no end, and are not done': often({ kind: 'hang', reached: false }, calls),
  'requests get no answer and no end, although they are done': often({ kind: 'hang', reached: true }, calls),
  'watches are half-open: nothing comes, and no end either': often({ kind: 'hang', reached: true }, watches),
  'answers are cut in the middle': often({ kind: 'cut', bytes: 60 }, calls),
  'watches are cut in the middle of a line': often({ kind: 'cut', bytes: 300 }, watches),
  'every watch is 2 s late, so that each view is an old one': always({ kind: 'late', milliseconds: 2000 }, watches),
  'every answer takes half a second': always({ kind: 'late', milliseconds: 500 }, calls),
  'writes take effect and their answers are lost': often({ kind: 'cut', bytes: 0 }, writes),
};
