import { secretPrefixes, type SecretPrefix } from '../../crds/run-config.ts';
import { TrainerError } from '../errors.ts';

/** The fields that name the Secrets. */
export const secretFields = {
  model: 'spec.model.secretRef',
  adapter: 'spec.model.adapter.secretRef',
  reference: 'spec.reference.secretRef',
  dataset: 'spec.dataset.secretRef',
  sft: 'spec.sft.dataset.secretRef',
  output: 'spec.output.secretRef',
} satisfies Record<keyof typeof secretPrefixes, string>;

/** What the environment (a Secret, `pod.env`) says of servers and credentials, under the names their own tools use. */
export interface SourceEnvironment {
  hub: { endpoint: string; token: string | undefined };
  s3: {
    /** Of a server other than AWS. */
    endpoint: string | undefined;
    region: string;
    accessKeyId: string | undefined;
    secretAccessKey: string | undefined;
    sessionToken: string | undefined;
  };
  /** Sent as `Authorization: Bearer` to an https:// source. */
  bearerToken: string | undefined;
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** Where people wrote a variable down. */
function placeOf(variable: string): string {
  const found = Object.entries(secretPrefixes).find(([, prefix]) => variable.startsWith(prefix));
  if (found === undefined) return `spec.pod.env: ${variable}`;
  const [key, prefix] = found as [keyof typeof secretPrefixes, string];
  return `${secretFields[key]}: its key ${variable.slice(prefix.length)}`;
}

/**
 * A variable's value without the line's end that `kubectl create secret --from-file` leaves; undefined where it is empty or
 * unset, as in the tools these names come from. Throws InvalidConfiguration for a value that no header can carry: fetch
 * would tell all of it in its message. The value stands in none of ours.
 */
function valueOf(env: NodeJS.ProcessEnv, variable: string): string | undefined {
  const value = env[variable]?.replace(/[\r\n]+$/, '');
  if (value === undefined || /^[ -~\u0080-\u00ff]*$/.test(value)) return value || undefined;
  const message = `${placeOf(variable)} holds a line break or another character that no request can carry: it must be one line of plain text`;
  throw new TrainerError('InvalidConfiguration', message);
}

/**
 * What holds for a source: the keys of its own Secret, which the operator mounts with `prefix`, before those of `pod.env`.
 * Throws InvalidConfiguration for one that no request can carry.
 */
export function sourceEnvironment(env: NodeJS.ProcessEnv, prefix: SecretPrefix): SourceEnvironment {
  const get = (...names: string[]): string | undefined =>
    valueOf(env, [...names.map((name) => `${prefix}${name}`), ...names].find((name) => valueOf(env, name)) ?? '');
  // Keys belong together: half of a Secret's and half of another's open nothing.
  const ownKeys = valueOf(env, `${prefix}AWS_ACCESS_KEY_ID`) !== undefined;
  const key = (name: string): string | undefined => valueOf(env, ownKeys ? `${prefix}${name}` : name);
  const endpoint = get('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL');
  return {
    hub: { endpoint: withoutSlash(get('HF_ENDPOINT') ?? 'https://huggingface.co'), token: get('HF_TOKEN') },
    s3: {
      endpoint: endpoint === undefined ? undefined : withoutSlash(endpoint),
      region: get('AWS_REGION', 'AWS_DEFAULT_REGION') ?? 'us-east-1',
      accessKeyId: key('AWS_ACCESS_KEY_ID'),
      secretAccessKey: key('AWS_SECRET_ACCESS_KEY'),
      sessionToken: key('AWS_SESSION_TOKEN'),
    },
    bearerToken: get('HTTPS_BEARER_TOKEN'),
  };
}
