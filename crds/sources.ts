import { z } from 'zod';
import { matching, objectName, withRules, type Rule } from './rules.ts';

/**
 * Where models and data come from: the patterns of `source` fields. A source names what is read, never how to be let in:
 * credentials come from a Secret (`secretRef`).
 */
const part = '[A-Za-z0-9_.-][A-Za-z0-9_. -]*';
const name = '[A-Za-z0-9][A-Za-z0-9_.-]{0,95}';
const revision = '@([A-Za-z0-9][A-Za-z0-9_.-]{0,95}|refs/[a-z]{1,16}/[A-Za-z0-9_.-]{1,32})';
const patterns = {
  pvc: `pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(/${part})*/?`,
  s3: 's3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.=+@,-][A-Za-z0-9_.=+@, -]*)+/?',
  // No user:password@, no fragment.
  https:
    "https://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?/[-A-Za-z0-9._~!$&'()*+,;=:@/%]*([?][-A-Za-z0-9._~!$&'()*+,;=:@/?%]*)?",
  hubModel: `hf://(${name}/)?${name}(${revision})?`,
  hubBranch: `hf://${name}/${name}(@[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?`,
  hubDataset: `hf://datasets/(${name}/)?${name}(${revision})?(/${part})*`,
};

/** The same for people. */
const forms: Record<keyof typeof patterns, string> = {
  pvc: 'pvc://claim/path',
  hubModel: 'hf://org/name@revision',
  hubBranch: 'hf://org/name@branch',
  hubDataset: 'hf://datasets/org/name@revision',
  s3: 's3://bucket/key',
  https: 'https://host/path',
};

const noTricks: Rule<string> = {
  cel: "!self.split('/').exists(p, p == '..' || p == '.') && !self.matches('%(2[eEfF]|5[cC]|00)')",
  holds: (source) =>
    !source.split('/').some((each) => each === '..' || each === '.') && !/%(?:2[eEfF]|5[cC]|00)/.test(source),
  field: '',
  message: "the path must not contain '.' or '..', in whatever form",
};
const noData: Rule<string> = {
  cel: "!self.startsWith('hf://datasets/')",
  holds: (source) => !source.startsWith('hf://datasets/'),
  field: '',
  message: 'hf://datasets/ is data, not a model',
};

function source(kinds: readonly (keyof typeof patterns)[], rules: readonly Rule<string>[] = [noTricks]): z.ZodString {
  const pattern = new RegExp(`^(${kinds.map((kind) => patterns[kind]).join('|')})$`);
  const form = matching(
    pattern,
    `must be ${kinds.length > 1 ? 'one of ' : ''}${kinds.map((kind) => forms[kind]).join(', ')}`,
  );
  return withRules(z.string().min(1).max(1024), [form, ...rules]);
}

/** `pvc://claim/path`. */
export const claimSource = source(['pvc']);
/** A model's folder. */
export const modelSource = source(['pvc', 'hubModel', 's3', 'https'], [noTricks, noData]);
/** A data file, or a folder of them. */
export const dataSource = source(['pvc', 'hubDataset', 's3', 'https']);

/** Where a trained model goes. */
export const outputSource = source(['pvc', 'hubBranch', 's3'], [noTricks, noData]);

/** Whether a source is on a claim, which the pod mounts; any other is fetched by the trainer, or pushed to. */
export const isClaim = (value: string): boolean => value.startsWith('pvc://');

/** `pvc://claim/some/path` as the claim's name and the path in it. */
export function claimOf(source: string): { claim: string; path: string } {
  const [claim = '', ...rest] = source.slice('pvc://'.length).split('/');
  return { claim, path: rest.join('/') };
}

/** The name of a file that holds rows; its first group is the format. */
export const dataFile = /[.](jsonl|ndjson|json|parquet)([.](gz|zst))?$/;

/** A source as others may see it: the query of a URL may hold a signature, which lets in whoever has it. */
export const shownSource = (value: string): string =>
  value.startsWith('https://') ? value.replace(/[?].*$/s, '') : value;

const secretName = z.object({ name: withRules(z.string().min(1).max(253), [objectName('a Secret')]) });
export const secretRef = secretName.describe(
  'Secret that lets the trainer read this source: HF_TOKEN, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, HTTPS_BEARER_TOKEN ...',
);
export const pushSecretRef = secretName.describe(
  'Secret that lets the trainer write there: HF_TOKEN, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT_URL_S3)',
);

export const digest = withRules(z.string().max(128), [
  matching(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 digits, each 0 to 9 or a to f'),
]);
