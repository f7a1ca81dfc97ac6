import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../examples/data/random.ts';

/** Tokens of a pair: its prompt, and its answers with their end token. */
export type Lengths = readonly [prompt: number, chosen: number, rejected: number];

/**
 * How TRL may spend an optimizer step of four pairs; all give the same step. The rival is the best of them, case by case.
 * `keepsPages`: glibc gives no memory back to the system, which is faster and takes more of it.
 */
export const settings = {
  /** The four pairs at once, padded to the longest. */
  'batch 4': { batchSize: 4, accumulation: 1, byLength: false, keepsPages: true },
  /** The same, pairs of like length together: `train_sampling_strategy="group_by_length"`. */
  'group by length': { batchSize: 4, accumulation: 1, byLength: true, keepsPages: true },
  /** One pair after the other: no padding between pairs, and a quarter of the activations. */
  'batch 1 x 4': { batchSize: 1, accumulation: 4, byLength: false, keepsPages: true },
  /** The same in as little memory as glibc makes it, as ours runs. */
  'batch 1 x 4, one arena': { batchSize: 1, accumulation: 4, byLength: false, keepsPages: false },
} as const;
export type Setting = keyof typeof settings;

/** At most so much of the peak memory of TRL's fastest and of its leanest setting is aimed at, in the first case. */
export const memoryGoals = { ofFastest: 0.35, ofLeanest: 0.6 };
export const pairsPerStep = 4;
export const maxLength = 1024;
/** Rounds of a duel; the first are not counted: memory is touched for the first time, and steps are recorded. */
export const discarded = 2;

export interface Case {
  title: string;
  /** Optimizer steps to be counted, of four pairs of like length each. */
  groups: readonly (readonly Lengths[])[];
  settings: readonly Setting[];
  /** Adapters on all dense layers instead of all weights. */
  lora?: { rank: number; alpha: number };
  /** At least so many times TRL's pairs per second are aimed at. */
  goal: number;
}

export const longest = ([prompt, chosen, rejected]: Lengths): number => prompt + Math.max(chosen, rejected);

/** As truncation leaves it; an answer has a token beside its end. */
function truncated([prompt, chosen, rejected]: Lengths): Lengths {
  const room = maxLength - prompt;
  return [prompt, Math.max(2, Math.min(chosen, room)), Math.max(2, Math.min(rejected, room))];
}

/**
 * Five steps that stand for a data set: 200 pairs sorted by length, as transformers' sampler by length takes them, and of
 * their 50 batches those at 10, 30, 50, 70 and 90 %.
 */
export function typicalGroups(pairs: readonly Lengths[]): Lengths[][] {
  const sorted = pairs.toSorted((a, b) => longest(b) - longest(a));
  return [5, 15, 25, 35, 45].map((batch) => sorted.slice(batch * pairsPerStep, (batch + 1) * pairsPerStep));
}

function hhLengths(): Lengths[] {
  const { pairs } = JSON.parse(readFileSync(join(import.meta.dirname, 'hh-lengths.json'), 'utf8')) as {
    pairs: Lengths[];
  };
  return pairs.filter(([prompt]) => prompt < maxLength - 2).map(truncated);
}

function shortPrompts(): Lengths[] {
  const random = new Random(2);
  const between = (from: number, to: number): number => from + Math.floor(random.next() * (to - from + 1));
  return Array.from({ length: 200 }, () => [between(12, 24), between(40, 200), between(40, 200)] as const);
}

const hh = typicalGroups(new Random(1).sample(hhLengths(), 200));
const halfShared = Array.from({ length: 5 }, () =>
  Array.from({ length: pairsPerStep }, (): Lengths => [256, 256, 256]),
);
const inSpeed: Setting[] = ['batch 4', 'group by length', 'batch 1 x 4'];

export const cases = {
  hh: { title: "HH-RLHF's lengths", groups: hh, settings: [...inSpeed, 'batch 1 x 4, one arena'], goal: 3 },
  shared: {
    title: '512 tokens, half of them shared',
    groups: halfShared,
    settings: ['batch 4', 'batch 1 x 4'],
    goal: 2.3,
  },
  short: {
    title: 'short prompts',
    groups: typicalGroups(shortPrompts()),
    settings: inSpeed,
    goal: 2,
  },
  lora: {
    title: "LoRA of rank 16, HH-RLHF's lengths",
    groups: hh,
    settings: inSpeed,
    lora: { rank: 16, alpha: 32 },
    goal: 3,
  },
} as const satisfies Record<string, Case>;
export type CaseName = keyof typeof cases;
export const caseNames = Object.keys(cases) as CaseName[];

/** The pairs of some groups in batches of unlike length: the i-th takes its k-th pair from the group i + k. */
const mixed = (groups: readonly (readonly Lengths[])[]): Lengths[][] =>
  groups.map((group, i) => group.map((_, k) => groups[(i + k) % groups.length]?.[k] as Lengths));

const arranged = (groups: readonly (readonly Lengths[])[], setting: Setting): readonly (readonly Lengths[])[] =>
  settings[setting].byLength ? groups : mixed(groups);

/** The steps of a duel, with those that are not counted first. */
export function duelSteps({ groups }: Case, setting: Setting): (readonly Lengths[])[] {
  return [...groups.slice(0, discarded), ...arranged(groups, setting)];
}

/** The steps by which the settings are compared: the longest batch, not counted, and two with the same pairs in each setting. */
export function probeSteps({ groups }: Case, setting: Setting): (readonly Lengths[])[] {
  const two = [groups[1], groups[3]] as (readonly Lengths[])[];
  return [groups[0] as readonly Lengths[], ...arranged(two, setting)];
}

/** Pairs of the epoch that is run to its end, in the order in which a setting takes them, and those held out from it. */
export function epochPairs(setting: Setting): { train: Lengths[]; heldOut: Lengths[] } {
  const pairs = new Random(3).sample(
    hhLengths().filter((pair) => longest(pair) <= 512),
    80,
  );
  const train = pairs.slice(0, 64);
  const ordered = settings[setting].byLength ? train.toSorted((a, b) => longest(b) - longest(a)) : train;
  return { train: ordered, heldOut: pairs.slice(64) };
}
